# What a user has, and how it went.

### /portfolio

portfolio-empty = There is nothing here yet. /start gives you 10,000 USDT of play money.
portfolio-total = <b>Portfolio: { $value } { $currency }</b>
portfolio-total-unknown = <b>Portfolio: total value unknown</b>
portfolio-gain = { $change } { $currency } ({ $percent }) on { $deposits } paid in
portfolio-position = • { $quantity } { $symbol } = { $value } { $currency }
portfolio-position-change = { " " }({ $percent })
portfolio-position-unknown = • { $quantity } { $symbol }, value unknown
portfolio-currency = • { $quantity } { $symbol }
portfolio-held = , of it { $held } set aside for orders
portfolio-more = … and { $count } more
portfolio-without-price = ⚠ There is no price for { $symbols } now, so its value is unknown and the total with it.

### /profit

profit-title = <b>Profit and loss</b>
profit-gain = <b>{ $change } { $currency }</b> since the start, on { $deposits } paid in
profit-gain-unknown = Since the start: <b>unknown</b>, on { $deposits } paid in
profit-realised = Realised: { $change }
profit-unrealised = Unrealised: { $change }
profit-span = { $span }: { $change }
profit-trades = Trades: { $count }
profit-closed = Sales: { $won } with a gain, { $lost } with a loss, { $even } even
profit-win-rate = Win rate: { $rate }
profit-factor = Profit factor: { $factor }
profit-expectancy = Expectancy: { $change } a sale
profit-drawdown = Max. drawdown: { $value } ({ $ratio })
profit-fees = Fees paid: { $fees }
profit-legend = <i>Realised: from what you sold. Unrealised: on what you hold, at the price of now. Win rate: sales with a gain. Profit factor: gains over losses. Expectancy: the mean of a sale. Drawdown: the largest fall of what was realised from its peak. Money paid in is no gain.</i>

### /history

history-title = <b>Your trades</b>
history-empty = None yet. Try <code>/buy BTC $100</code>.
history-end = There are no older ones.
history-pending-buy = ◷ Buying { $symbol } is under way · receipt { $receipt }
history-pending-sell = ◷ Selling { $symbol } is under way · receipt { $receipt }
history-buy = <b>Bought { $base }</b> for { $currency }
history-sell = <b>Sold { $base }</b> for { $currency }
history-details = Price { $price } · fee { $fee }
history-result = Result: { $change } { $currency }
history-when = { $moment } · receipt { $receipt }
button-newest = « Newest
button-older = Older »
