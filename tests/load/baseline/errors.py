"""What can go wrong for a user: each becomes a sentence in `bot`, and nothing was changed."""

# ruff: noqa: N818 (errors are named after what happened)


class BaselineError(Exception):
    """The root of the bot's errors."""


class PricesBusy(BaselineError):
    """The exchange limits us, is away or is too slow."""


class InsufficientFunds(BaselineError):
    """The user has less than the trade would take."""


class NoAmount(BaselineError):
    """What was typed cannot be read as an amount above zero."""


class OfferClosed(BaselineError):
    """The offer was carried out or withdrawn before."""
