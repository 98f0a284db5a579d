# Kaufen und Verkaufen, vom ersten Wort bis zur Quittung.

### Was und wie viel

buy-which = Was möchtest du kaufen? Drück einen Knopf oder schreib das Kürzel.
sell-which = Was möchtest du verkaufen? Drück einen Knopf oder schreib das Kürzel.
buy-how-much = <b>Wie viel { $symbol } möchtest du kaufen?</b>
sell-how-much = <b>Wie viel { $symbol } möchtest du verkaufen?</b>
buy-available = Du kannst { $amount } { $symbol } ausgeben.
sell-available = Du kannst { $amount } { $symbol } verkaufen.
how-much-example = Drück einen Knopf oder schreib zum Beispiel <code>$100</code>, <code>0,5</code> (von { $symbol }), <code>50%</code> oder <code>alles</code>.
amount-not-a-number = Das kann ich nicht als Betrag lesen.
amount-strange-characters = Der Betrag enthält Zeichen, denen ich nicht traue. Bitte nimm die Ziffern 0 bis 9 und ein Komma.
amount-negative = Ein Betrag unter null lässt sich nicht handeln.
amount-zero = Mit null gibt es nichts zu handeln.
amount-too-long = Das ist länger als jeder Betrag, den ich lesen kann.
amount-too-many-digits = Der Betrag hat mehr Stellen als alles, was hier gehandelt wird.
amount-over-all = Mehr als 100% gibt es nicht.
amount-other-unit = Ich rechne in USDT, in { $symbol } oder in Prozent, und das ist nichts davon.
amount-ambiguous = Das lässt sich auf zwei Weisen lesen, und bei Geld rate ich nicht. Was meinst du?
button-all = alles

### Das Angebot

draft-buy = <b>{ $symbol } kaufen?</b>
draft-sell = <b>{ $symbol } verkaufen?</b>
draft-spend = Du gibst: <b>{ $amount } { $symbol }</b>
draft-spend-at-most = Du gibst höchstens: <b>{ $amount } { $symbol }</b> und behältst, was nicht gebraucht wird
draft-receive = Du bekommst etwa: <b>{ $amount } { $symbol }</b>
draft-price = Kurs: { $price } { $currency } für 1 { $symbol }
draft-fee = Gebühr: { $amount } { $symbol }, schon abgezogen
draft-bound = Mindestens { $amount } { $symbol } vor der Gebühr, sonst wird nicht gehandelt (Kursabweichung { $slippage })
draft-valid = Gilt { $duration }, bis { $until }.
button-confirm = ✓ Bestätigen
button-cancel = Abbrechen
button-again = Noch einmal fragen
button-other-amount = Anderer Betrag
draft-cancelled-buy = Dieses Angebot ist zurückgezogen. Es wurde kein { $symbol } gekauft und nichts geändert.
draft-cancelled-sell = Dieses Angebot ist zurückgezogen. Es wurde kein { $symbol } verkauft und nichts geändert.
draft-cancelled-short = Zurückgezogen.
draft-expired-buy = Dieses Angebot ist abgelaufen. Es wurde kein { $symbol } gekauft und nichts geändert.
draft-expired-sell = Dieses Angebot ist abgelaufen. Es wurde kein { $symbol } verkauft und nichts geändert.
draft-expired-short = Zu spät: Das Angebot ist abgelaufen.
draft-not-yours = Ein solches Angebot hast du nicht. Es wurde nichts geändert.

### Warum nicht

refused-unknown-symbol = Das wird hier nicht gehandelt.
refused-nothing-to-spend = Dafür hast du zu wenig.
refused-nothing-to-spend-of = Dafür hast du nicht genug { $symbol }.
refused-insufficient-funds = Dafür hast du zu wenig.
refused-insufficient-funds-bound = Dafür hast du zu wenig: Ausgeben kannst du { $bound }.
refused-too-small = Das ist zu wenig zum Handeln.
refused-too-small-bound = Das ist zu wenig zum Handeln: Das Mindeste ist { $bound }.
refused-too-large = Das ist mehr, als ein Auftrag handeln darf.
refused-too-large-bound = Das ist mehr, als ein Auftrag handeln darf: Das Höchste ist { $bound }.
refused-too-precise = Der Betrag hat mehr Nachkommastellen, als gehandelt werden können.
refused-too-precise-bound = Der Betrag hat mehr Nachkommastellen, als bei { $symbol } möglich sind: Höchstens { $digits }.
refused-stale-price = Der Kurs ist gerade zu alt zum Handeln. Bitte versuche es gleich noch einmal.
refused-price-moved = Der Kurs hat sich weiter bewegt, als deine Kursabweichung erlaubt.
refused-not-taken = Der Markt hat den Auftrag nicht angenommen.
refused-too-late = Der Auftrag kam nicht rechtzeitig an den Markt.
refused-limit-exceeded = Das überschreitet eine Grenze deines Kontos.
refused-limit-exceeded-bound = Das überschreitet eine Grenze deines Kontos: { $bound }.
refused-too-many-resting = Es warten schon so viele deiner Aufträge auf einen Kurs, wie dürfen.
refused-too-many-resting-bound = Höchstens { $bound } deiner Aufträge dürfen auf einen Kurs warten. Brich erst einen ab.
refused-too-many-alerts = Es warten schon so viele deiner Alarme, wie dürfen.
refused-too-many-alerts-bound = Höchstens { $bound } deiner Alarme dürfen warten. Lösch erst einen.
refused-already-past = Dieser Kurs ist schon erreicht.
refused-already-past-bound = Dieser Kurs ist schon erreicht, bei { $bound }: Es würde sofort ein Auftrag. Dafür gibt es /buy und /sell.
refused-out-of-reach = Dieser Kurs ist zu weit weg vom jetzigen.
refused-out-of-reach-bound = Dieser Kurs ist zu weit weg vom jetzigen, { $bound }. Vertippt?

### Die Quittung

order-done-buy = ✓ <b>{ $received } gekauft</b> für { $spent }
order-done-sell = ✓ <b>{ $spent } verkauft</b> für { $received }
order-filled-buy = ✓ <b>{ $symbol } gekauft.</b>
order-filled-sell = ✓ <b>{ $symbol } verkauft.</b>
order-at = Erledigt am { $moment }
order-failed-buy = ✗ <b>Es wurde kein { $symbol } gekauft.</b>
order-failed-sell = ✗ <b>Es wurde kein { $symbol } verkauft.</b>
funds-back = Es wurde nichts ausgegeben.
order-pending-buy = ◷ <b>Der Kauf von { $symbol }</b> ist unterwegs. Ich sage dir Bescheid, sobald er erledigt ist.
order-pending-sell = ◷ <b>Der Verkauf von { $symbol }</b> ist unterwegs. Ich sage dir Bescheid, sobald er erledigt ist.
order-held = Dafür zurückgelegt: { $amount } { $symbol }
receipt-simulated = <i>Ein simuliertes Geschäft: Spielgeld, erfundener Markt.</i>
receipt-id = Quittung <b>{ $receipt }</b>: <code>/receipt { $typed }</code>
order-done-short = Erledigt. Quittung { $receipt }
order-failed-short = Nicht ausgeführt. Quittung { $receipt }
order-pending-short = Unterwegs. Quittung { $receipt }
button-look-again = Nachsehen
receipt-malformed = { $typed } kann keine Quittung sein: Sie sehen aus wie <code>7K3M-9Q2X</code>.
receipt-unknown = Eine Quittung { $receipt } hast du nicht.
receipt-none = Du hast noch keine Quittungen. Jeder Auftrag bekommt eine.
receipt-which = Welche Quittung? Die neuesten sind diese; für eine ältere schreib <code>/receipt</code> und ihre Kennung.
receipt-button-done = ✓ { $what } { $symbol } · { $receipt }
receipt-button-failed = ✗ { $what } { $symbol } · { $receipt }
receipt-button-pending = ◷ { $what } { $symbol } · { $receipt }
side-buy = Kauf
side-sell = Verkauf

### /cancel

cancel-offers = Zurückgezogen: alle offenen Angebote ({ $count }). Was du vorher bestätigt hast, läuft weiter.
cancel-dialogue = In Ordnung, vergiss es. Es wurde nichts geändert.
cancel-nothing = Es gibt nichts abzubrechen: Kein Angebot ist offen. Was du vorher bestätigt hast, läuft weiter.
cancel-too-late = Zu spät: Es wurde vorher bestätigt.
