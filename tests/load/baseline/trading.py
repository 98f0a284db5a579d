"""What a trade comes to: amounts as they are typed, and the paper market's arithmetic. Pure."""

import re
import secrets
from decimal import ROUND_DOWN, Decimal, localcontext

from tests.load.baseline.errors import NoAmount
from tests.load.baseline.store import CURRENCY, Draft, Trade

FEE = Decimal("0.001")
DRAFT_LIFETIME_SECONDS = 120.0
_UNITS = {CURRENCY: Decimal("0.000001")}
_UNIT_OF_OTHERS = Decimal("0.00000001")
_AMOUNT = re.compile(r"(\$)?([0-9]{1,12}(?:\.[0-9]{1,8})?)(%)?")


def read_amount(typed: str, side: str, symbol: str, available: Decimal) -> tuple[Decimal, str]:
    """Read `$100`, `0.5`, `50%` or `all`; the amount and the asset it is in. Raises NoAmount."""
    spent = CURRENCY if side == "buy" else symbol
    if typed.lower() == "all":
        typed = "100%"
    found = _AMOUNT.fullmatch(typed)
    if found is None:
        raise NoAmount
    dollar, digits, percent = found.groups()
    value = Decimal(digits)
    if dollar and percent:
        raise NoAmount
    if percent:
        value, unit = rounded(available * value / 100, spent), spent
    else:
        unit = CURRENCY if dollar else symbol
    if value <= 0:
        raise NoAmount
    return value, unit


def traded(draft: Draft, price: Decimal, now: float) -> Trade:
    """Compute the trade of an offer at a price."""
    with localcontext() as context:
        context.prec = 50
        if draft.unit == CURRENCY:
            currency, base = draft.amount, rounded(draft.amount / price, draft.symbol)
        else:
            base, currency = draft.amount, rounded(draft.amount * price, CURRENCY)
        received, asset = (base, draft.symbol) if draft.side == "buy" else (currency, CURRENCY)
        fee = rounded(received * FEE, asset)
    return Trade(draft.side, draft.symbol, base, currency, fee, price, new_receipt(), now)


def rounded(value: Decimal, asset: str) -> Decimal:
    """Cut to the smallest unit of an asset."""
    return value.quantize(_UNITS.get(asset, _UNIT_OF_OTHERS), rounding=ROUND_DOWN)


def new_receipt() -> str:
    """Make an id that a person can read aloud."""
    letters = "".join(secrets.choice("23456789ABCDEFGHJKMNPQRSTVWXYZ") for _ in range(8))
    return f"{letters[:4]}-{letters[4:]}"
