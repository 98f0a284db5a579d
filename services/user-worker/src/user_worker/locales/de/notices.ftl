# Was über Aufträge gesagt wird, auf die niemand mehr wartet.

notice-bought =
    <b>Dein Auftrag ist erledigt.</b> Du hast { $received } für { $spent } gekauft.
    Beleg { $receipt }: <code>/receipt { $command }</code>
notice-sold =
    <b>Dein Auftrag ist erledigt.</b> Du hast { $spent } für { $received } verkauft.
    Beleg { $receipt }: <code>/receipt { $command }</code>
notice-rejected =
    <b>Dein Auftrag für { $symbol } wurde nicht ausgeführt.</b> Es wurde nichts ausgegeben.
    Beleg { $receipt }: <code>/receipt { $command }</code>
