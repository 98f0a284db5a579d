"""Text as Telegram counts it, in units of UTF-16, and as everybody can carry it."""


def clean(text: str) -> str:
    """Replace lone surrogates, which no encoding can carry."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def utf16_units(text: str) -> int:
    """Count as Telegram does: characters beyond U+FFFF count twice."""
    return len(text) + sum(character > "\uffff" for character in text)
