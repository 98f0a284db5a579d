"""Rules of admission: how they are written, whom they fit, and in which order."""

import pytest

from gateway.admission_rules import (
    RULES_MAX,
    AdmissionRule,
    FirstContact,
    IsPremium,
    Speaks,
    StartsWith,
    parse_rules,
    pools_for,
)
from kernel.malformed import Malformed

MAIN, FAST, GERMAN = "default.main", "default.fast", "default.german"


def test_each_criterion_is_read_as_it_is_documented() -> None:
    """In the order they are written."""
    rules = parse_rules([f"{FAST}:start=vip_1-A", f"{FAST}:premium", f"{GERMAN}:language=de-at"])
    assert rules == (
        AdmissionRule(FAST, StartsWith("vip_1-A")),
        AdmissionRule(FAST, IsPremium()),
        AdmissionRule(GERMAN, Speaks("de-at")),
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "default.fast",
        "default.fast:",
        "default.fast:premium=yes",
        "default.fast:start",
        "default.fast:start=",
        "default.fast:start=with space",
        f"default.fast:start={'x' * 65}",
        "default.fast:language=",
        "default.fast:language=DE",
        "default.fast:language=d",
        "default.fast:country=de",
        "Fast:premium",
        ":premium",
    ],
)
def test_what_is_no_rule_is_named(text: str) -> None:
    """So that whoever wrote the setting finds it."""
    with pytest.raises(Malformed, match="expected"):
        parse_rules([text])


def test_there_is_a_bound_of_rules() -> None:
    """As many as are allowed, and one more."""
    rule = "default.fast:premium"
    assert len(parse_rules([rule] * RULES_MAX)) == RULES_MAX
    with pytest.raises(Malformed, match="at most 50"):
        parse_rules([rule] * (RULES_MAX + 1))


@pytest.mark.parametrize(
    ("contact", "fits"),
    [
        (FirstContact(start="vip"), True),
        (FirstContact(start="VIP"), False),
        (FirstContact(start="vip2"), False),
        (FirstContact(start="vip now"), False),
        (FirstContact(), False),
    ],
)
def test_a_start_parameter_is_compared_to_the_letter(contact: FirstContact, fits: bool) -> None:
    """What else was typed behind it is another one."""
    assert StartsWith("vip").fits(contact) is fits


@pytest.mark.parametrize(
    ("code", "fits"),
    [("de", True), ("de-AT", True), ("DE", True), ("den", False), ("", False), ("at-de", False)],
)
def test_a_language_fits_what_begins_with_its_subtags(code: str, fits: bool) -> None:
    """Not what begins with its letters."""
    assert Speaks("de").fits(FirstContact(language_code=code)) is fits


def test_the_first_rule_that_fits_comes_first_and_the_default_last() -> None:
    """Each pool once, and none that does not fit."""
    rules = parse_rules(
        [f"{FAST}:start=vip", f"{GERMAN}:language=de", f"{FAST}:premium", f"{MAIN}:language=en"]
    )
    german = FirstContact(is_premium=True, language_code="de")
    assert pools_for(german, rules, MAIN) == (GERMAN, FAST, MAIN)
    assert pools_for(FirstContact(start="vip", is_premium=True), rules, MAIN) == (FAST, MAIN)
    assert pools_for(FirstContact(language_code="en"), rules, MAIN) == (MAIN,)
    assert pools_for(FirstContact(), rules, MAIN) == (MAIN,)
