# Orders that wait for a price, and alerts.

### Notices

alert-reached-at-or-above = 🔔 <b>{ $symbol } has risen to { $price } { $currency }.</b> It was quoted at { $quoted }.
alert-reached-at-or-below = 🔔 <b>{ $symbol } has fallen to { $price } { $currency }.</b> It was quoted at { $quoted }.
alert-expired = Your alert for { $symbol } at { $price } has run out: the price was not reached.
resting-ran-out = ⌛ <b>{ $what } { $symbol }</b> at { $price } { $currency } has run out: its price was not met in time. Nothing was traded. Receipt { $receipt }
resting-placed-note = ◷ What I could not say before: <b>{ $what } { $symbol }</b> waits for its price. Receipt { $receipt }

resting-limit-buy = Limit buy of
resting-limit-sell = Limit sale of
resting-stop-buy = Stop buy of
resting-stop-sell = Stop sale of
resting-take-profit-buy = Take-profit buy of
resting-take-profit-sell = Take-profit sale of

### Asking for one

resting-which-side = Buy or sell?
limit-at-which-price = <b>At which price of { $symbol }?</b> It is carried out at that price or a better one. Press, or write it.
stop-at-which-price = <b>At which price of { $symbol }?</b> When it is met, the order goes to the market. Press, or write it.
tp-at-which-price = <b>At which price of { $symbol }?</b> When it is met, the order goes to the market. Press, or write it.
price-unreadable = I cannot read that as a price. Write it like <code>60000</code> or <code>0.5</code>.
resting-now = Now: { $price } { $currency }

### The offer

resting-title = <b>{ $what } { $symbol }?</b>
resting-when-at-or-below = When 1 { $symbol } costs <b>{ $price } { $currency } or less</b>
resting-when-at-or-above = When 1 { $symbol } costs <b>{ $price } { $currency } or more</b>
resting-bound-limit = At that price or a better one, or nothing is traded.
resting-bound-market = A market order then: at least { $amount } { $symbol } before the fee, or nothing is traded (slippage { $slippage } from that price).
resting-holds-nothing = Nothing is set aside while it waits. If you have too little when the price is met, nothing is traded and I tell you.
resting-met-already = ⚠ That price is met already: it would be carried out at once.
resting-lasts = It waits for { $duration }. Confirm within { $lifetime }.
expiry-10m = 10 min
expiry-1h = 1 h
expiry-24h = 24 h
expiry-7d = 7 d
expiry-30d = 30 d

### What became of it

resting-waiting = ◷ <b>{ $what } { $symbol }</b> waits for its price. I will tell you when it is done.
resting-triggered = ◷ <b>{ $what } { $symbol }</b> has met its price and is under way.
resting-cancelled = ✗ <b>{ $what } { $symbol }</b> is cancelled. Nothing was traded.
resting-withdrawn = ✗ <b>{ $what } { $symbol }</b>: this offer is withdrawn. Nothing was changed.
resting-offer-expired = ✗ <b>{ $what } { $symbol }</b>: this offer has run out. Nothing was changed.
resting-until = Until { $moment }
resting-waiting-short = It waits.
resting-triggered-short = Its price was met before.
resting-cancelled-short = Cancelled.
resting-expired-short = It has run out.
resting-withdrawn-short = Withdrawn.
resting-offer-expired-short = Too late: the offer has run out.

resting-expired = ⌛ <b>{ $what } { $symbol }</b> has run out: its price was not met in time. Nothing was traded.

### /orders

orders-title = <b>Orders that wait: { $count }</b>
orders-none = Nothing waits for its price and nothing is under way. Try <code>/limit buy BTC $100 at 60000</code>.
resting-line =
    <b>{ $what } { $symbol }</b> { $when }
    gives { $spend } { $spent } · until { $until } · receipt { $receipt }
resting-at-at-or-below = at { $price } { $currency } or less
resting-at-at-or-above = at { $price } { $currency } or more
orders-cancel = ✗ { $symbol } { $price } · { $receipt }
button-orders = Orders
button-newer = « Newer

### /alerts

alerts-title = <b>Alerts that wait: { $count }</b>
alerts-example = Press one to remove it, or write <code>/alerts BTC 70000</code> for another.
alerts-none = Write <code>/alerts BTC 70000</code>, and I tell you when that price is met.
alert-at-which-price = <b>At which price of { $symbol } shall I tell you?</b>
alert-set-at-or-above = 🔔 I tell you once { $symbol } has risen to <b>{ $price } { $currency }</b>.
alert-set-at-or-below = 🔔 I tell you once { $symbol } has fallen to <b>{ $price } { $currency }</b>.
alert-until = For as long as until { $moment }.
alert-there = { $symbol } is at { $price } just now.
alert-out-of-reach = That is too far from the present price of { $symbol }, { $price }. A slip of the hand?
alert-removed = Removed.
alert-gone = That alert waits no more.
button-remove = Remove
button-alerts = Alerts
button-limit = Limit
button-stop = Stop
button-alert = Alert
