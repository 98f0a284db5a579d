# Kurse, Charts und Bilder.

price-which = Den Kurs wovon?
chart-which = Einen Chart wovon?
symbol-unknown = Etwas namens { $typed } wird hier nicht gehandelt; /price zeigt, was es gibt.
symbol-lookalike = { $typed } enthält Buchstaben oder Zeichen, die nicht zu A bis Z und 0 bis 9 gehören oder nur so aussehen; dem traue ich nicht.
symbol-did-you-mean = Meintest du etwas davon?
prices-away = Ich komme gerade nicht an die Kurse. Es wurde nichts geändert; bitte versuche es gleich noch einmal.
prices-old = ⚠ Der älteste dieser Kurse ist von { $ago }.
simulated-price = <i>Simulierter Kurs aus einem erfundenen Markt, kein echter.</i>
simulated-prices = <i>Simulierte Kurse aus einem erfundenen Markt, keine echten.</i>

card-price = <b>{ $symbol }</b>  { $price } { $currency }
card-day =
    { $arrow } { $change } in 24 Stunden
    Hoch { $high } · Tief { $low }
card-since =
    { $arrow } { $change } seit { $since }
    Hoch { $high } · Tief { $low }
card-age = Kurs von { $ago }
card-stale = ⚠ Das ist zu alt zum Handeln; bitte warte auf einen neuen.
card-unknown = Für { $symbol } gibt es gerade keinen Kurs. Bitte versuche es gleich noch einmal.
card-fresh = Das ist der neueste.

chart-caption =
    <b>{ $symbol }</b> · { $span }
    { $last }
chart-span-unknown = { $typed } kann ich nicht zeichnen. Über welche Zeit soll es sein?
chart-empty = Für diese Zeit gibt es noch keine Kurse von { $symbol }.

span-1h = 1 Std.
span-4h = 4 Std.
span-1d = 1 Tag
span-1w = 1 Woche
span-24h = 24 Std.
span-7d = 7 Tage
span-30d = 30 Tage

picture-portfolio = Depot
picture-simulated = simulierte Kurse
picture-equity = Wert
picture-deposits = Eingezahlt
picture-other = Andere
picture-unknown = Wert unbekannt
picture-no-points = Noch keine Werte
picture-no-holdings = Nichts von bekanntem Wert
picture-no-candles = Noch keine Kurse

button-buy = { $symbol } kaufen
button-sell = { $symbol } verkaufen
button-price = Kurs von { $symbol }
button-chart = Chart
button-refresh = Neu laden
