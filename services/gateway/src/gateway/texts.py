"""The few words the gateway says by itself, per language; all others are the worker's.

A language is the first part of a BCP 47 tag (`de` of `de-CH`); whoever speaks none of ours reads
English.
"""

from collections.abc import Mapping

FALLBACK = "en"

COMMANDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "start": "Your wallet and your balance",
        "price": "What a coin costs now: /price BTC",
        "buy": "Buy a coin: /buy BTC $100",
        "sell": "Sell a coin: /sell BTC 50%",
        "limit": "Trade at your price: /limit buy BTC $100 at 60000",
        "stop": "Sell when the price falls: /stop BTC 50% 55000",
        "tp": "Take profit when it rises: /tp BTC all 80000",
        "alerts": "Be told of a price: /alerts BTC 70000",
        "orders": "What waits, and cancel it",
        "dca": "Buy again and again: /dca $50 BTC daily",
        "copy": "Copy another's trades, or share yours",
        "portfolio": "What you hold and what it is worth",
        "profit": "What you have won and lost",
        "history": "Your latest trades",
        "receipt": "One trade in every detail",
        "chart": "A coin's price as a picture: /chart BTC",
        "settings": "How I behave",
        "language": "Choose the language I speak",
        "cancel": "Drop what we were about to do",
        "panic": "Stop everything and freeze your trading",
        "forget": "Have your messages erased",
        "help": "What you can do",
    },
    "de": {
        "start": "Deine Wallet und dein Guthaben",
        "price": "Was eine Münze jetzt kostet: /price BTC",
        "buy": "Eine Münze kaufen: /buy BTC $100",
        "sell": "Eine Münze verkaufen: /sell BTC 50%",
        "limit": "Zu deinem Kurs handeln: /limit kaufe BTC $100 bei 60000",
        "stop": "Verkaufen, wenn der Kurs fällt: /stop BTC 50% 55000",
        "tp": "Gewinn mitnehmen, wenn er steigt: /tp BTC alles 80000",
        "alerts": "Bescheid bei einem Kurs: /alerts BTC 70000",
        "orders": "Was wartet, und abbrechen",
        "dca": "Immer wieder kaufen: /dca $50 BTC täglich",
        "copy": "Trades anderer kopieren oder deine teilen",
        "portfolio": "Was du hältst und was es wert ist",
        "profit": "Was du gewonnen und verloren hast",
        "history": "Deine letzten Trades",
        "receipt": "Ein Trade in allen Einzelheiten",
        "chart": "Der Kurs einer Münze als Bild: /chart BTC",
        "settings": "Wie ich mich verhalte",
        "language": "Die Sprache wählen, die ich spreche",
        "cancel": "Verwerfen, was wir gerade vorhatten",
        "panic": "Alles anhalten und deinen Handel einfrieren",
        "forget": "Deine Nachrichten löschen lassen",
        "help": "Was du tun kannst",
    },
}
"""The bot's menu, in the order it is shown: the command and one line about it, at most 256
characters."""

TOO_MANY_MESSAGES: Mapping[str, str] = {
    "en": (
        "That was a lot at once, so I left some of your messages out. "
        "Please wait half a minute, then send again what matters."
    ),
    "de": (
        "Das war viel auf einmal, darum habe ich einen Teil deiner Nachrichten ausgelassen. "
        "Bitte warte eine halbe Minute und sende dann noch einmal, was wichtig ist."
    ),
}
"""Said once per rush of messages."""

TOO_MUCH_WAITING: Mapping[str, str] = {
    "en": (
        "I am behind with my work, so I left this message out. "
        "Please wait a minute, then send again what matters."
    ),
    "de": (
        "Ich komme gerade nicht nach, darum habe ich diese Nachricht ausgelassen. "
        "Bitte warte eine Minute und sende dann noch einmal, was wichtig ist."
    ),
}
"""Said once to whom something is refused because too much waits, of theirs or of their shard's."""


def in_language(texts: Mapping[str, str], language_code: str) -> str:
    """Pick the text for a BCP 47 tag; English when there is none."""
    language = language_code.partition("-")[0].lower()
    return texts.get(language, texts[FALLBACK])
