# Aufträge, die auf einen Kurs warten, und Alarme.

### Mitteilungen

alert-reached-at-or-above = 🔔 <b>{ $symbol } ist auf { $price } { $currency } gestiegen.</b> Der Kurs war { $quoted }.
alert-reached-at-or-below = 🔔 <b>{ $symbol } ist auf { $price } { $currency } gefallen.</b> Der Kurs war { $quoted }.
alert-expired = Dein Alarm für { $symbol } bei { $price } ist abgelaufen: Der Kurs wurde nicht erreicht.
resting-expired = ⌛ <b>{ $what } { $symbol }</b> bei { $price } { $currency } ist abgelaufen: Der Kurs kam nicht rechtzeitig. Es wurde nicht gehandelt. Quittung { $receipt }

resting-limit-buy = Limit-Kauf von
resting-limit-sell = Limit-Verkauf von
resting-stop-buy = Stop-Kauf von
resting-stop-sell = Stop-Verkauf von
resting-take-profit-buy = Take-Profit-Kauf von
resting-take-profit-sell = Take-Profit-Verkauf von
