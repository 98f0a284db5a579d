# Was jemand hat, und wie es lief.

### /portfolio

portfolio-empty = Hier ist noch nichts. /start gibt dir 10.000 USDT Spielgeld.
portfolio-total = <b>Depot: { $value } { $currency }</b>
portfolio-total-unknown = <b>Depot: Gesamtwert unbekannt</b>
portfolio-gain = { $change } { $currency } ({ $percent }) auf { $deposits } Eingezahltes
portfolio-position = • { $quantity } { $symbol } = { $value } { $currency }
portfolio-position-change = { " " }({ $percent })
portfolio-position-unknown = • { $quantity } { $symbol }, Wert unbekannt
portfolio-currency = • { $quantity } { $symbol }
portfolio-held = , davon { $held } für Aufträge zurückgelegt
portfolio-more = … und { $count } weitere
portfolio-without-price = ⚠ Für { $symbols } gibt es gerade keinen Kurs; damit sind Wert und Summe unbekannt.

### /profit

profit-title = <b>Gewinn und Verlust</b>
profit-gain = <b>{ $change } { $currency }</b> seit dem Anfang, auf { $deposits } Eingezahltes
profit-gain-unknown = Seit dem Anfang: <b>unbekannt</b>, auf { $deposits } Eingezahltes
profit-realised = Realisiert: { $change }
profit-unrealised = Unrealisiert: { $change }
profit-span = { $span }: { $change }
profit-trades = Geschäfte: { $count }
profit-closed = Verkäufe: { $won } mit Gewinn, { $lost } mit Verlust, { $even } ausgeglichen
profit-win-rate = Trefferquote: { $rate }
profit-factor = Profitfaktor: { $factor }
profit-expectancy = Erwartungswert: { $change } je Verkauf
profit-drawdown = Größter Rückgang: { $value } ({ $ratio })
profit-fees = Gezahlte Gebühren: { $fees }
profit-legend = <i>Realisiert: aus Verkauftem. Unrealisiert: auf Gehaltenes, zum Kurs von jetzt. Trefferquote: Verkäufe mit Gewinn. Profitfaktor: Gewinne durch Verluste. Erwartungswert: Mittel eines Verkaufs. Rückgang: der größte Fall des Realisierten von seinem Höchststand. Eingezahltes ist kein Gewinn.</i>

### /history

history-title = <b>Deine Geschäfte</b>
history-empty = Noch keine. Probier <code>/buy BTC $100</code>.
history-end = Ältere gibt es nicht.
history-pending-buy = ◷ Der Kauf von { $symbol } ist unterwegs · Quittung { $receipt }
history-pending-sell = ◷ Der Verkauf von { $symbol } ist unterwegs · Quittung { $receipt }
history-buy = <b>{ $base } gekauft</b> für { $currency }
history-sell = <b>{ $base } verkauft</b> für { $currency }
history-details = Kurs { $price } · Gebühr { $fee }
history-result = Ergebnis: { $change } { $currency }
history-when = { $moment } · Quittung { $receipt }
button-newest = « Neueste
button-older = Ältere »
