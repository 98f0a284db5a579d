"""Which pool a newcomer is admitted to: an ordered list of rules, the first that fits and whose
pool takes newcomers, else the default pool.

A rule is written `<pool>:<criterion>`, and there are three criteria:

    default.fast:start=vip       the first message is /start vip (a link: t.me/<bot>?start=vip)
    default.fast:premium         Telegram says that the user has Telegram Premium
    default.german:language=de   the user's language is de, or begins so: de-AT

Who forwards a start link shares it: it is no secret, and its pool is not for those alone who were
given it. A start parameter is compared as it is written.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from kernel.malformed import Malformed
from kernel.sharding import check_pool

RULES_MAX = 50
"""More is a table, not a setting; each newcomer is held against all of them."""

_START = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What Telegram allows in a link."""
_LANGUAGE = re.compile(r"[a-z]{2,8}(-[a-z0-9]{1,8})*")


class MalformedRule(Malformed):
    """Not a rule of admission."""


@dataclass(frozen=True, slots=True)
class FirstContact:
    """What is known of a newcomer."""

    start: str = ""
    """What followed /start; empty when nothing did, or when they began with something else."""
    is_premium: bool = False
    language_code: str = ""
    """A BCP 47 tag; empty when unknown."""


NOTHING_KNOWN = FirstContact()


@dataclass(frozen=True, slots=True)
class StartsWith:
    """Who comes by a link with this parameter."""

    parameter: str

    def fits(self, contact: FirstContact) -> bool:
        """Whether it is this parameter, to the letter."""
        return contact.start == self.parameter


@dataclass(frozen=True, slots=True)
class IsPremium:
    """Who has Telegram Premium."""

    def fits(self, contact: FirstContact) -> bool:
        """Whether Telegram says so."""
        return contact.is_premium


@dataclass(frozen=True, slots=True)
class Speaks:
    """Whose language is this one, or a kind of it."""

    language: str

    def fits(self, contact: FirstContact) -> bool:
        """Whether the subtags begin so: `de` fits de and de-AT, not den."""
        code = contact.language_code.lower()
        return code == self.language or code.startswith(f"{self.language}-")


Criterion = StartsWith | IsPremium | Speaks


@dataclass(frozen=True, slots=True)
class AdmissionRule:
    """Who fits belongs into the pool."""

    pool: str
    criterion: Criterion


def parse_rules(texts: Sequence[str]) -> tuple[AdmissionRule, ...]:
    """Read rules, in their order. Raises MalformedRule or MalformedPool, which names the rule."""
    if len(texts) > RULES_MAX:
        raise MalformedRule(f"expected at most {RULES_MAX} rules")
    return tuple(_parse(text) for text in texts)


def pools_for(
    contact: FirstContact, rules: Sequence[AdmissionRule], default_pool: str
) -> tuple[str, ...]:
    """Name the pools a newcomer may go to, those to be tried first first, each once."""
    fitting = [rule.pool for rule in rules if rule.criterion.fits(contact)]
    return tuple(dict.fromkeys([*fitting, default_pool]))


def _parse(text: str) -> AdmissionRule:
    pool, separator, criterion = text.partition(":")
    name, equals, value = criterion.partition("=")
    if not separator:
        raise MalformedRule(f"expected <pool>:<criterion>, not {text!r}")
    try:
        check_pool(pool)
    except Malformed as error:
        raise MalformedRule(f"in {text!r}: {error}") from error
    if name == "premium" and not equals:
        return AdmissionRule(pool, IsPremium())
    if name == "start" and _START.fullmatch(value):
        return AdmissionRule(pool, StartsWith(value))
    if name == "language" and _LANGUAGE.fullmatch(value):
        return AdmissionRule(pool, Speaks(value))
    raise MalformedRule(
        f"in {text!r}: expected start=<1 to 64 of A-Z, a-z, 0-9, _ and ->, premium, or "
        "language=<a language in lower case>"
    )
