# Orders that wait for a price, and alerts.

### Notices

alert-reached-at-or-above = 🔔 <b>{ $symbol } has risen to { $price } { $currency }.</b> It was quoted at { $quoted }.
alert-reached-at-or-below = 🔔 <b>{ $symbol } has fallen to { $price } { $currency }.</b> It was quoted at { $quoted }.
alert-expired = Your alert for { $symbol } at { $price } has run out: the price was not reached.
resting-expired = ⌛ <b>{ $what } { $symbol }</b> at { $price } { $currency } has run out: its price was not met in time. Nothing was traded. Receipt { $receipt }

resting-limit-buy = Limit buy of
resting-limit-sell = Limit sale of
resting-stop-buy = Stop buy of
resting-stop-sell = Stop sale of
resting-take-profit-buy = Take-profit buy of
resting-take-profit-sell = Take-profit sale of
