# Was der Bot auf Deutsch sagt, im HTML-Stil der Bot-API. Argumente kommen maskiert an. Eine Datei je
# Thema; in dieser steht, was zu keinem gehört.

### /start

start-welcome = <b>Willkommen an Bord von Purser.</b>
start-welcome-name = <b>Willkommen an Bord von Purser, { $name }.</b>
start-wallet =
    Deine Wallet:
    <code>{ $address }</code>
start-gift = Hier sind <b>{ $gift } USDT</b> Spielgeld zum Handeln. Dein Guthaben: <b>{ $balance } USDT</b>
start-balance = Dein Guthaben: <b>{ $balance } USDT</b> Spielgeld
start-price = { $symbol } steht bei <b>{ $price } { $currency }</b>
start-price-simulated = { $symbol } steht bei <b>{ $price } { $currency }</b> – ein simulierter Kurs aus einem erfundenen Markt, kein echter
start-price-unknown = Für { $symbol } gibt es gerade keinen Kurs.
start-custody = <i>Wer das Geld bewegen kann: du mit dem, was du in diesem Chat beauftragst, und wer diesen Bot betreibt, denn er verwahrt die Schlüssel. Zum Aufhören schreib einfach nicht mehr oder blockiere den Bot; /forget löscht, was über dich bekannt ist. Spielgeld lässt sich nicht auszahlen.</i>
start-next = Probier <code>/buy BTC $100</code>, oder schreib <code>BTC</code> für den Kurs. /help zeigt alles.

### /help

help-title = <b>Was du tun kannst</b>
help-group-trade = <b>Handeln</b>
help-group-wait = <b>Auf einen Kurs warten</b>
help-group-account = <b>Sehen, wie es läuft</b>
help-group-you = <b>Du und dieser Bot</b>
help-start = /start – deine Wallet und dein Guthaben
help-price = /price BTC – der Kurs und was er an einem Tag tat
help-buy = /buy BTC $100 – kaufen; Beträge als 0,5, $100, 50%, alles
help-sell = /sell BTC 50% – verkaufen
help-limit = /limit kaufe BTC $100 bei 60000 – zu deinem Kurs handeln; gilt 10m, 1h, 24h, 7d, 30d
help-stop = /stop BTC 50% 55000 – verkaufen, wenn der Kurs darauf fällt
help-tp = /tp BTC alles 80000 – Gewinn mitnehmen: verkaufen, wenn der Kurs darauf steigt
help-orders = /orders – was wartet und was unterwegs ist; dort abbrechen
help-alerts = /alerts BTC 70000 – Bescheid bekommen, wenn ein Kurs erreicht ist
help-portfolio = /portfolio – was du hast und was es wert ist
help-profit = /profit – Gewinne, Verluste und wie gut du handelst
help-history = /history – deine Geschäfte
help-receipt = /receipt ID – was aus einem Auftrag wurde
help-chart = /chart BTC 1d – ein Bild: 1h, 4h, 1d, 1w
help-settings = /settings – Sprache und Kursabweichung
help-language = /language – die Sprache wählen
help-cancel = /cancel – offene Angebote zurückziehen
help-forget = /forget – löschen, was über dich bekannt ist
help-help = /help – diese Liste
help-ticker = Oder schreib einfach <code>BTC</code>, oder <code>kaufe BTC $100</code>.

### /language und /settings

language-choose = Welche Sprache soll ich sprechen?
language-chosen = Ich spreche jetzt Deutsch.
language-chosen-short = Deutsch
settings =
    <b>Einstellungen</b>
    Sprache: { $language }
    Kursabweichung: { $slippage }

    <i>Die Kursabweichung (Slippage) sagt, wie weit sich der Kurs zwischen Angebot und Geschäft zu deinen Ungunsten bewegen darf. Darüber hinaus wird nicht gehandelt.</i>
settings-kept = Gemerkt.

### /forget

forget-ask =
    <b>Soll ich dich vergessen?</b>

    Gelöscht werden: dein Name, die Texte dieses Gesprächs, die ich aufhebe, deine Einstellungen, deine Alarme und deine offenen Angebote. Aufträge, die auf einen Kurs warten, werden abgebrochen. Deine Sparpläne enden, du kopierst niemanden und niemand kopiert dich.

    Erhalten bleiben: die Bücher mit Guthaben, Geschäften und Quittungen, deine Wallet und die Nummer, unter der Telegram dich kennt, denn zu ihr gehören sie. Bücher, denen Einträge fehlen, gingen nicht mehr auf. Was in diesem Chat steht, kannst nur du löschen.
button-forget = Vergiss mich
button-keep = Alles behalten
forget-kept = Nichts wurde gelöscht.
forget-done = Erledigt. Dein Name, die Texte, deine Einstellungen, Alarme und offenen Angebote sind gelöscht, und kein Auftrag wartet mehr auf einen Kurs. Bücher, Quittungen und Wallet bleiben wie gesagt; /start bringt dich zu ihnen zurück.

### Knöpfe vieler Nachrichten

button-portfolio = Depot
button-profit = Gewinn
button-history = Verlauf
button-help = Hilfe
button-start = Start

### Alles andere

unknown = unbekannt
unknown-command = Den Befehl /{ $name } kenne ich nicht. /help zeigt, welche ich kenne.
plain-text = Das habe ich nicht verstanden. Schreib ein Kürzel wie <code>BTC</code>, oder <code>kaufe BTC $100</code>. /help zeigt alles.
start-again = Ich warte auf keinen Betrag, oder nicht mehr. Bitte fang noch einmal an, zum Beispiel mit <code>/buy BTC $100</code>.
nothing-changed = Es wurde nichts geändert.
stale-press = Dieser Knopf bewirkt nichts mehr. Bitte sende den Befehl noch einmal.
unsupported-other = Mit dieser Art Nachricht kann ich nichts anfangen. /help zeigt, was ich kann.
unsupported-attachment = Bilder, Sticker, Sprachnachrichten und Dateien kann ich nicht lesen. Bitte schreib einen Befehl; /help zeigt sie.
unsupported-edit = Änderungen an früheren Nachrichten verfolge ich nicht. Bitte sende sie noch einmal als neue Nachricht.
unsupported-too-long = Diese Nachricht ist länger, als ich lesen kann. Bitte sende eine kürzere.
apology =
    Es tut mir leid, bei uns ist etwas schiefgegangen, und ich konnte das nicht zu Ende bringen. Es ist vermerkt; bitte versuche es später noch einmal.
    Kennung: <code>{ $reference }</code>
