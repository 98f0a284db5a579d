# /dca, /copy und was sie melden.

### /dca

help-dca = /dca $50 BTC täglich – immer wieder kaufen; allein: deine Sparpläne
plan-usage = Versuch <code>/dca $50 BTC täglich</code>; stündlich, wöchentlich, <code>alle 6 Stunden</code> und <code>10 mal</code> verstehe ich auch.
plan-what-money = { $symbol } für { $amount } { $currency }
plan-what-units = { $amount } { $symbol }
plan-period-hourly = jede Stunde
plan-period-daily = jeden Tag
plan-period-weekly = jede Woche
plan-period = alle { $duration }
plan-how-often = <b>{ $what }: Wie oft?</b>
plan-no-share = Ein Sparplan braucht einen festen Betrag, etwa <code>$50</code> oder <code>0,001</code>: Ein Anteil von dem, was du hast, würde jedes Mal kleiner.
plan-period-bounds = Das ist zu oft oder zu selten: Ein Sparplan kauft höchstens einmal in { $least } und mindestens einmal in { $most }.
plan-runs-bounds = Ein Sparplan kann 1 bis { $most } mal kaufen.
plan-offer = <b>{ $what } kaufen, { $period }?</b>
plan-about = Zum Kurs von jetzt sind das etwa { $amount } { $symbol } je Kauf.
plan-first = Der erste Kauf wird sofort gemacht, die nächsten zur gleichen Zeit.
plan-times = { $count } Käufe insgesamt.
plan-no-end = Bis du ihn anhältst oder beendest.
plan-rules = <i>Jeder Kauf geht zum Kurs von dann an den Markt (Kursabweichung { $slippage }). Zurückgelegt wird dafür nichts: Ist zu wenig Geld da, wird er abgelehnt, und nach drei solchen hintereinander hält der Plan an. Ohne Kurs wird { $patience } lang wieder versucht und dann ausgelassen. Was nicht gekauft werden konnte, während ich weg war, wird nicht nachgeholt.</i>
plan-valid = Gilt bis { $until }.
plan-active = ✓ <b>Der Sparplan läuft: { $what } { $period }.</b> Der erste Kauf ist unterwegs; ich melde jeden.
plan-paused = Dieser Sparplan ist angehalten.
plan-finished = Dieser Sparplan hat alle seine Käufe gemacht.
plan-cancelled = Dieser Sparplan ist beendet.
plan-expired = Dieses Angebot ist abgelaufen. Es wurde nichts geändert.
plan-offered = Dieser Sparplan ist nicht bestätigt.
plan-dropped = Zurückgezogen. Es wurde nichts geändert.
plan-active-short = Der Sparplan läuft weiter.
plan-paused-short = Angehalten.
plan-cancelled-short = Beendet.
plan-finished-short = Er hat alle seine Käufe gemacht.
plan-expired-short = Das Angebot ist abgelaufen.
plan-offered-short = Er ist nicht bestätigt.
refused-frozen-short = Dein Handel ist eingefroren.
plan-too-many = Du hast { $count } Sparpläne, und mehr dürfen es nicht sein. Beende erst einen: /dca
plan-not-yours = Einen solchen Sparplan hast du nicht. Es wurde nichts geändert.
plan-none = <b>Du hast keine Sparpläne.</b>
plan-list = <b>Deine Sparpläne</b>
plan-line = { $number }. { $what } { $period } · gemacht: { $runs } · nächster: { $next }
plan-line-paused = { $number }. { $what } { $period } · gemacht: { $runs } · angehalten
plan-runs-of = { $runs } von { $most }
button-plans = Sparpläne
button-plan-pause = ⏸ { $number } anhalten
button-plan-resume = ▶ { $number } fortsetzen
button-plan-cancel = ✗ { $number } beenden
receipt-by-plan = Gekauft von deinem Sparplan.
receipt-by-copy = Ein kopierter Trade.
note-run-skipped = Dein Sparplan ({ $what }) hat einen Kauf ausgelassen.
note-no-price = Es gab keinen Kurs, zu dem sich handeln ließ.
note-plan-paused = <b>Dein Sparplan ({ $what }) ist angehalten.</b> Die letzten { $count } Käufe fanden zu wenig Geld vor. Setz ihn fort, wenn genug da ist.
note-plan-finished = Dein Sparplan ({ $what }) ist nach { $count } Käufen zu Ende.

### /copy

help-copy = /copy – Trades anderer kopieren oder deine kopieren lassen
copy-usage =
    <code>/copy 7K3M-9Q2X $50</code> kopiert, wer dir diesen Code gegeben hat, für $50 je Kauf.
    <code>/copy teilen</code> lässt andere dich kopieren.
copy-how-much = <b>Für wie viel je Kauf?</b> Drück einen Knopf oder sende den Code noch einmal mit Betrag: <code>/copy 7K3M-9Q2X $50</code>
copy-no-share = Ein kopierter Kauf braucht einen festen Geldbetrag.
copy-offer = <b>Die Trades von { $code } kopieren?</b>
copy-buys = Wird dort etwas gekauft, kaufst du es für <b>{ $amount } { $currency }</b>.
copy-sells = Wird dort ein Teil davon verkauft, verkaufst du denselben Teil von dem, was du davon kopiert hast.
copy-rules = <i>Jeder Auftrag geht zum Kurs von dann an den Markt (Kursabweichung { $slippage }), Augenblicke nach dem kopierten. Trades, die mehr als { $fresh } alt sind, werden nicht kopiert. Was dort selbst kopiert wurde, wird nicht weiterkopiert. Vergangene Gewinne versprechen nichts.</i>
copy-seen = Du siehst die Trades: was, in welche Richtung und wann. Dort ist zu sehen, wie viele kopieren, und nichts von dir.
copy-active = ✓ <b>Du kopierst { $code } von jetzt an.</b> Ich melde jeden Trade.
copy-ended = Dieses Kopieren ist beendet.
copy-expired = Dieses Angebot ist abgelaufen. Es wurde nichts geändert.
copy-offered = Dieses Kopieren ist nicht bestätigt.
copy-dropped = Zurückgezogen. Es wurde nichts geändert.
copy-stopped-short = Beendet. Was du hältst, bleibt.
copy-unknown-code = Unter diesem Code teilt niemand Trades, oder nicht mehr.
copy-own-code = Das ist dein eigener Code.
copy-copied-already = Diesen Code kopierst du schon. Beende das erst, um den Betrag zu ändern: /copy
copy-followers-max = Diesen Code kopieren so viele, wie es sein dürfen.
copy-too-many = Du kopierst { $count } andere, und mehr dürfen es nicht sein. Beende erst eins: /copy
copy-not-yours = Ein solches Kopieren hast du nicht. Es wurde nichts geändert.
copy-none = <b>Du kopierst niemanden.</b>
copy-list = <b>Du kopierst</b>
copy-line = { $number }. { $code }, { $amount } { $currency } je Kauf
button-copies = Kopieren
button-copy-stop = ✗ { $number } beenden
button-share = Meine Trades teilen
button-unshare = Nicht mehr teilen
share-ask =
    <b>Andere deine Trades kopieren lassen?</b>
    Du bekommst einen Code. Wer ihn hat, kann kopieren, was du von da an handelst, und sieht von jedem Trade, was es war, in welche Richtung und wann. Niemand sieht, wer du bist, wie viel du handelst oder was du hast. Du kannst jederzeit aufhören.
share-code =
    Dein Code: <code>{ $code }</code>
    Wer ihn hat, kann deine Trades mit <code>/copy { $code } $50</code> kopieren. Es kopieren dich gerade: { $followers }
share-line = Andere kopieren dich über <code>{ $code }</code>: { $followers }
share-stopped = Niemand kann dich mehr kopieren. Wer es tat, erfährt es; der Code gilt nicht mehr.
share-none = Du teilst deine Trades nicht.
note-copy-skipped-buy = { $code } hat { $symbol } gekauft und du nicht.
note-copy-skipped-sell = { $code } hat { $symbol } verkauft und du nicht.
note-copies-missed = Trades von { $code }, die nicht binnen { $fresh } kopiert werden konnten: { $count }
note-copy-ended = <b>{ $code } teilt nicht mehr.</b> Du kopierst dort nichts mehr; was du hältst, bleibt.
