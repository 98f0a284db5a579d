# Was der Bot auf Deutsch sagt, im HTML-Stil der Bot-API. Argumente kommen maskiert an.

### /start

start-welcome = <b>Willkommen an Bord von Purser.</b>
start-welcome-name = <b>Willkommen an Bord von Purser, { $name }.</b>
start-wallet =
    Deine Wallet:
    <code>{ $address }</code>
start-balance = Dein Guthaben: <b>{ $balance } USDT</b> Spielgeld
start-price = { $symbol } steht bei <b>{ $price } { $currency }</b>
start-price-simulated = { $symbol } steht bei <b>{ $price } { $currency }</b> – ein simulierter Kurs aus einem erfundenen Markt, kein echter
start-price-unknown = Für { $symbol } gibt es gerade keinen Kurs.
start-custody = <i>Wer das Geld bewegen kann: du mit dem, was du in diesem Chat beauftragst, und wer diesen Bot betreibt, denn er verwahrt die Schlüssel. Zum Aufhören schreib einfach nicht mehr oder blockiere den Bot; Spielgeld lässt sich nicht auszahlen.</i>
start-next = /help zeigt, was du tun kannst.

### /help

help-title = <b>Was du tun kannst</b>
help-start = /start – deine Wallet, dein Guthaben, der Kurs von BTC
help-language = /language – die Sprache wählen
help-help = /help – diese Liste

### /language

language-choose = Welche Sprache soll ich sprechen?
language-chosen = Ich spreche jetzt Deutsch.
language-chosen-short = Deutsch

### Alles andere

unknown-command = Den Befehl /{ $name } kenne ich nicht. /help zeigt, welche ich kenne.
plain-text = Ich arbeite mit Befehlen und Knöpfen. /help zeigt sie.
stale-press = Dieser Knopf bewirkt nichts mehr. Bitte sende den Befehl noch einmal.
unsupported-other = Mit dieser Art Nachricht kann ich nichts anfangen. /help zeigt, was ich kann.
unsupported-attachment = Bilder, Sticker, Sprachnachrichten und Dateien kann ich nicht lesen. Bitte schreib einen Befehl; /help zeigt sie.
unsupported-edit = Änderungen an früheren Nachrichten verfolge ich nicht. Bitte sende sie noch einmal als neue Nachricht.
unsupported-too-long = Diese Nachricht ist länger, als ich lesen kann. Bitte sende eine kürzere.
apology =
    Es tut mir leid, bei uns ist etwas schiefgegangen, und ich konnte das nicht zu Ende bringen. Es ist vermerkt; bitte versuche es später noch einmal.
    Kennung: <code>{ $reference }</code>
