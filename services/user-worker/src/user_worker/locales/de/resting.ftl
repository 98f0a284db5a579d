# Aufträge, die auf einen Kurs warten, und Alarme.

### Mitteilungen

alert-reached-at-or-above = 🔔 <b>{ $symbol } ist auf { $price } { $currency } gestiegen.</b> Der Kurs war { $quoted }.
alert-reached-at-or-below = 🔔 <b>{ $symbol } ist auf { $price } { $currency } gefallen.</b> Der Kurs war { $quoted }.
alert-expired = Dein Alarm für { $symbol } bei { $price } ist abgelaufen: Der Kurs wurde nicht erreicht.
resting-ran-out = ⌛ <b>{ $what } { $symbol }</b> bei { $price } { $currency } ist abgelaufen: Der Kurs kam nicht rechtzeitig. Es wurde nicht gehandelt. Quittung { $receipt }
resting-placed-note = ◷ Was ich vorhin nicht sagen konnte: <b>{ $what } { $symbol }</b> wartet auf seinen Kurs. Quittung { $receipt }

resting-limit-buy = Limit-Kauf von
resting-limit-sell = Limit-Verkauf von
resting-stop-buy = Stop-Kauf von
resting-stop-sell = Stop-Verkauf von
resting-take-profit-buy = Take-Profit-Kauf von
resting-take-profit-sell = Take-Profit-Verkauf von

### Danach fragen

resting-which-side = Kaufen oder verkaufen?
limit-at-which-price = <b>Bei welchem Kurs von { $symbol }?</b> Ausgeführt wird zu diesem Kurs oder einem besseren. Drück einen Knopf oder schreib ihn.
stop-at-which-price = <b>Bei welchem Kurs von { $symbol }?</b> Ist er erreicht, geht der Auftrag an den Markt. Drück einen Knopf oder schreib ihn.
tp-at-which-price = <b>Bei welchem Kurs von { $symbol }?</b> Ist er erreicht, geht der Auftrag an den Markt. Drück einen Knopf oder schreib ihn.
price-unreadable = Das kann ich nicht als Kurs lesen. Schreib ihn wie <code>60000</code> oder <code>0,5</code>.
resting-now = Jetzt: { $price } { $currency }

### Das Angebot

resting-title = <b>{ $what } { $symbol }?</b>
resting-when-at-or-below = Sobald 1 { $symbol } <b>{ $price } { $currency } oder weniger</b> kostet
resting-when-at-or-above = Sobald 1 { $symbol } <b>{ $price } { $currency } oder mehr</b> kostet
resting-bound-limit = Zu diesem Kurs oder einem besseren, sonst wird nicht gehandelt.
resting-bound-market = Dann ein Auftrag zum Marktkurs: Mindestens { $amount } { $symbol } vor der Gebühr, sonst wird nicht gehandelt (Kursabweichung { $slippage } von diesem Kurs).
resting-holds-nothing = Solange er wartet, wird nichts zurückgelegt. Hast du zu wenig, wenn der Kurs erreicht ist, wird nicht gehandelt, und ich sage dir Bescheid.
resting-met-already = ⚠ Der Kurs ist schon erreicht: Es würde sofort ausgeführt.
resting-lasts = Er wartet { $duration }. Bestätige innerhalb von { $lifetime }.
expiry-10m = 10 Min.
expiry-1h = 1 Std.
expiry-24h = 24 Std.
expiry-7d = 7 T.
expiry-30d = 30 T.

### Was daraus wurde

resting-waiting = ◷ <b>{ $what } { $symbol }</b> wartet auf seinen Kurs. Ich sage dir Bescheid, wenn er ausgeführt ist.
resting-triggered = ◷ <b>{ $what } { $symbol }</b> hat seinen Kurs erreicht und ist unterwegs.
resting-cancelled = ✗ <b>{ $what } { $symbol }</b> ist abgebrochen. Es wurde nicht gehandelt.
resting-withdrawn = ✗ <b>{ $what } { $symbol }</b>: Dieses Angebot ist zurückgezogen. Es wurde nichts geändert.
resting-offer-expired = ✗ <b>{ $what } { $symbol }</b>: Dieses Angebot ist abgelaufen. Es wurde nichts geändert.
resting-until = Bis { $moment }
resting-waiting-short = Er wartet.
resting-triggered-short = Sein Kurs war schon erreicht.
resting-cancelled-short = Abgebrochen.
resting-expired-short = Er ist abgelaufen.
resting-withdrawn-short = Zurückgezogen.
resting-offer-expired-short = Zu spät: Das Angebot ist abgelaufen.

resting-expired = ⌛ <b>{ $what } { $symbol }</b> ist abgelaufen: Der Kurs kam nicht rechtzeitig. Es wurde nicht gehandelt.

### /orders

orders-title = <b>Wartende Aufträge: { $count }</b>
orders-none = Nichts wartet auf seinen Kurs, und nichts ist unterwegs. Versuch <code>/limit kaufe BTC $100 bei 60000</code>.
resting-line =
    <b>{ $what } { $symbol }</b> { $when }
    gibt { $spend } { $spent } · bis { $until } · Quittung { $receipt }
resting-at-at-or-below = bei höchstens { $price } { $currency }
resting-at-at-or-above = bei mindestens { $price } { $currency }
orders-cancel = ✗ { $symbol } { $price } · { $receipt }
button-orders = Aufträge
button-newer = « Neuere

### /alerts

alerts-title = <b>Wartende Alarme: { $count }</b>
alerts-example = Drück einen, um ihn zu löschen, oder schreib <code>/alerts BTC 70000</code> für einen weiteren.
alerts-none = Schreib <code>/alerts BTC 70000</code>, und ich sage dir Bescheid, wenn der Kurs erreicht ist.
alert-at-which-price = <b>Bei welchem Kurs von { $symbol } soll ich Bescheid sagen?</b>
alert-set-at-or-above = 🔔 Ich sage Bescheid, sobald { $symbol } auf <b>{ $price } { $currency }</b> gestiegen ist.
alert-set-at-or-below = 🔔 Ich sage Bescheid, sobald { $symbol } auf <b>{ $price } { $currency }</b> gefallen ist.
alert-until = Längstens bis { $moment }.
alert-there = { $symbol } steht gerade bei { $price }.
alert-out-of-reach = Das ist zu weit weg vom jetzigen Kurs von { $symbol }, { $price }. Vertippt?
alert-removed = Gelöscht.
alert-gone = Dieser Alarm wartet nicht mehr.
button-remove = Löschen
button-alerts = Alarme
button-limit = Limit
button-stop = Stop
button-alert = Alarm
