# Prices, charts and pictures.

price-which = The price of what?
chart-which = A chart of what?
symbol-unknown = Nothing called { $typed } is traded here; /price lists what is.
symbol-lookalike = { $typed } has letters or signs that are none of A to Z and 0 to 9 or only look like them, so I do not trust it.
symbol-did-you-mean = Did you mean one of these?
prices-away = I cannot get at the prices just now. Nothing was changed; please try again in a moment.
prices-old = ⚠ The oldest of these prices is from { $ago }.
simulated-price = <i>Simulated price from a made-up market, not a real one.</i>
simulated-prices = <i>Simulated prices from a made-up market, not real ones.</i>

card-price = <b>{ $symbol }</b>  { $price } { $currency }
card-day =
    { $arrow } { $change } in 24 hours
    High { $high } · low { $low }
card-since =
    { $arrow } { $change } since { $since }
    High { $high } · low { $low }
card-age = Price from { $ago }
card-stale = ⚠ That is too old to trade on; please wait for a fresh one.
card-unknown = There is no price for { $symbol } just now. Please try again in a moment.
card-fresh = Here is the newest.

chart-caption =
    <b>{ $symbol }</b> · { $span }
    { $last }
chart-span-unknown = I cannot draw { $typed }. For how long shall it be?
chart-empty = There are no prices of { $symbol } for that time yet.

span-1h = 1 h
span-4h = 4 h
span-1d = 1 day
span-1w = 1 week
span-24h = 24 h
span-7d = 7 days
span-30d = 30 days

picture-portfolio = Portfolio
picture-simulated = simulated prices
picture-equity = Value
picture-deposits = Paid in
picture-other = Other
picture-unknown = value unknown
picture-no-points = No values yet
picture-no-holdings = Nothing of known value
picture-no-candles = No prices yet

button-buy = Buy { $symbol }
button-sell = Sell { $symbol }
button-price = Price of { $symbol }
button-chart = Chart
button-refresh = Refresh
