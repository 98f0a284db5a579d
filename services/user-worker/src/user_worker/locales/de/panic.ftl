# /panic und was eingefroren ist.

help-panic = /panic – alles sofort anhalten und deinen Handel einfrieren
refused-frozen = Du hast deinen Handel eingefroren. Mit <code>/panic off</code> kannst du wieder handeln.
frozen-line = ❄ Dein Handel ist seit { $moment } eingefroren. Mit <code>/panic off</code> kannst du wieder handeln.
panic-frozen = ❄ <b>Dein Handel ist eingefroren.</b>
panic-nothing = Es gab nichts anzuhalten.
panic-orders = Aufträge aufgegeben, bevor sie den Markt erreichten: { $count }
panic-resting = Wartende Aufträge gestrichen: { $count }
panic-plans = Sparpläne beendet: { $count }
panic-copies = Kopieren beendet: { $count }
panic-offers = Angebote zurückgezogen: { $count }
panic-submitted = ⚠ Aufträge, die schon am Markt waren: { $count }. Sie lassen sich nicht zurückholen; ich frage, was aus ihnen wurde, und sage es dir.
panic-until = Bis du das beendest, nehme ich keinen Auftrag von dir an, und niemand kopiert etwas von dir. Was du hältst, bleibt, wie es ist, und Alarme laufen weiter.
panic-resume =
    <b>Wieder handeln?</b>
    Was angehalten wurde, bleibt angehalten; du kannst neu beauftragen.
panic-over = Dein Handel ist nicht mehr eingefroren. Was angehalten wurde, bleibt angehalten.
panic-not-frozen = Dein Handel ist nicht eingefroren. <code>/panic</code> hält alles an und friert ihn ein.
button-resume-trading = Wieder handeln
button-stay-frozen = Eingefroren lassen
