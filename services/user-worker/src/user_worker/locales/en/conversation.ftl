# What the bot says in English, in the Bot API's HTML style. Arguments arrive escaped.

### /start

start-welcome = <b>Welcome aboard Purser.</b>
start-welcome-name = <b>Welcome aboard Purser, { $name }.</b>
start-wallet =
    Your wallet:
    <code>{ $address }</code>
start-balance = Your balance: <b>{ $balance } USDT</b> of play money
start-price = { $symbol } now: <b>{ $price } { $currency }</b>
start-price-simulated = { $symbol } now: <b>{ $price } { $currency }</b> – a simulated price from a made-up market, not a real one
start-price-unknown = There is no price for { $symbol } right now.
start-custody = <i>Who can move the funds: you, by what you order in this chat, and whoever runs this bot, for it keeps the keys. To leave, stop writing or block the bot; play money cannot be withdrawn.</i>
start-next = /help lists what you can do.

### /help

help-title = <b>What you can do</b>
help-start = /start – your wallet, your balance, the price of BTC
help-language = /language – choose the language
help-help = /help – this list

### /language

language-choose = Which language shall I speak?
language-chosen = I speak English now.
language-chosen-short = English

### Anything else

unknown-command = I do not know the command /{ $name }. /help lists those I know.
plain-text = I work by commands and buttons. /help lists them.
stale-press = This button does nothing any more. Please send the command again.
unsupported-other = I cannot do anything with that kind of message. /help lists what I can do.
unsupported-attachment = I cannot read pictures, stickers, voice messages or files. Please write a command; /help lists them.
unsupported-edit = I do not follow changes to earlier messages. Please send it again as a new message.
unsupported-too-long = That message is longer than I can read. Please send a shorter one.
apology =
    I am sorry, something went wrong on our side and I could not finish this. It has been noted; please try again later.
    Reference: <code>{ $reference }</code>
