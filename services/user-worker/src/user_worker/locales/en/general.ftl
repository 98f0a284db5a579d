# What the bot says in English, in the Bot API's HTML style. Arguments arrive escaped. A file for
# each topic; this one has what belongs to none.

### /start

start-welcome = <b>Welcome aboard Purser.</b>
start-welcome-name = <b>Welcome aboard Purser, { $name }.</b>
start-wallet =
    Your wallet:
    <code>{ $address }</code>
start-gift = Here are <b>{ $gift } USDT</b> of play money to trade with. Your balance: <b>{ $balance } USDT</b>
start-balance = Your balance: <b>{ $balance } USDT</b> of play money
start-price = { $symbol } now: <b>{ $price } { $currency }</b>
start-price-simulated = { $symbol } now: <b>{ $price } { $currency }</b> – a simulated price from a made-up market, not a real one
start-price-unknown = There is no price for { $symbol } right now.
start-custody = <i>Who can move the funds: you, by what you order in this chat, and whoever runs this bot, for it keeps the keys. To leave, stop writing or block the bot, and /forget erases what is known of you; play money cannot be withdrawn.</i>
start-next = Try <code>/buy BTC $100</code>, or write <code>BTC</code> for its price. /help lists everything.

### /help

help-title = <b>What you can do</b>
help-group-trade = <b>Trade</b>
help-group-wait = <b>Wait for a price</b>
help-group-account = <b>See how it goes</b>
help-group-you = <b>You and this bot</b>
help-start = /start – your wallet and your balance
help-price = /price BTC – the price, and what it did in a day
help-buy = /buy BTC $100 – buy; amounts as 0.5, $100, 50%, all
help-sell = /sell BTC 50% – sell
help-limit = /limit buy BTC $100 at 60000 – buy or sell at your price; ends as 10m, 1h, 24h, 7d, 30d
help-stop = /stop BTC 50% 55000 – sell when the price falls to it
help-tp = /tp BTC all 80000 – take profit: sell when the price rises to it
help-orders = /orders – what waits and what is under way; cancel it there
help-alerts = /alerts BTC 70000 – be told when a price is met
help-portfolio = /portfolio – what you have and what it is worth
help-profit = /profit – gains, losses and how well you trade
help-history = /history – your trades
help-receipt = /receipt ID – what became of an order
help-chart = /chart BTC 1d – a picture: 1h, 4h, 1d, 1w
help-settings = /settings – language and slippage
help-language = /language – choose the language
help-cancel = /cancel – withdraw open offers
help-forget = /forget – erase what is known of you
help-help = /help – this list
help-ticker = Or just write <code>BTC</code>, or <code>buy BTC $100</code>.

### /language and /settings

language-choose = Which language shall I speak?
language-chosen = I speak English now.
language-chosen-short = English
settings =
    <b>Settings</b>
    Language: { $language }
    Slippage: { $slippage }

    <i>Slippage is how far a price may move against you between the offer and the trade. Beyond that nothing is traded.</i>
settings-kept = Kept.

### /forget

forget-ask =
    <b>Shall I forget you?</b>

    Erased: your name, the texts of this conversation that I keep, your settings, your alerts and your open offers. Orders that wait for a price are cancelled. Your plans end, you copy nobody and nobody copies you.

    Kept: the books with your balance, trades and receipts, your wallet, and the number Telegram knows you by, which they belong to. Books that lose entries would not add up any more. What stands in this chat only you can delete.
button-forget = Forget me
button-keep = Keep everything
forget-kept = Nothing was erased.
forget-done = Done. Your name, texts, settings, alerts and open offers are erased, and no order waits for a price any more. Books, receipts and wallet are kept as I said; /start brings you back to them.

### Buttons of many messages

button-portfolio = Portfolio
button-profit = Profit
button-history = History
button-help = Help
button-start = Start

### Anything else

unknown = unknown
unknown-command = I do not know the command /{ $name }. /help lists those I know.
plain-text = I did not understand that. Write a ticker such as <code>BTC</code>, or <code>buy BTC $100</code>. /help lists everything.
start-again = I am not waiting for an amount, or not any more. Please start again, for example with <code>/buy BTC $100</code>.
nothing-changed = Nothing was changed.
stale-press = This button does nothing any more. Please send the command again.
unsupported-other = I cannot do anything with that kind of message. /help lists what I can do.
unsupported-attachment = I cannot read pictures, stickers, voice messages or files. Please write a command; /help lists them.
unsupported-edit = I do not follow changes to earlier messages. Please send it again as a new message.
unsupported-too-long = That message is longer than I can read. Please send a shorter one.
apology =
    I am sorry, something went wrong on our side and I could not finish this. It has been noted; please try again later.
    Reference: <code>{ $reference }</code>
