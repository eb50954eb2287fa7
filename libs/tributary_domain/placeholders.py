"""Ids that name nothing: a script wrote "undefined" where an order number should be, or a template was not filled.

All who send the same one would be one order, one session, one refund. The one rule: what is short may be real ("1",
"1001"), and a cycle or a store may be counted from 0; only what no system gives to one of many is taken for nothing.
What was put before or behind such a word ("WEB-undefined") is the same for all, unless it has a number.
"""

from collections.abc import Callable
from typing import Final

from tributary_domain import texts
from tributary_domain.blanks import bare
from tributary_domain.normalization import names_nothing
from tributary_domain.reasons import Reason, ReasonCode
from tributary_domain.unfilled import LONGEST, NOTHING, TEMPLATE, decoded, has_digit, holds_template, may_be_unfilled

_NAMES_OF_FIELDS: Final = frozenset(
    f"{thing}{between}{word}"
    for thing in ("order", "transaction", "lead", "subscription", "session", "event", "refund", "store", "shop")
    for between in ("", "_", "-", " ")
    for word in ("id", "number")
)
"""A field's name where its value should be, in lower case."""
_LONGEST_NAME: Final = max(map(len, _NAMES_OF_FIELDS))
_DIGITS_THAT_TELL: Final = 10
"""Of a time to the second: so many digits beside a template's place are another number for every event."""
_NAMES_OF_STORES: Final = frozenset({"default", "guest", "id", "test", "user"})
"""Words that name nobody, but may well be a shop's: "id" is the one of Indonesia, in lower case."""


def is_placeholder(text: str) -> bool:
    """Tells whether an id names nothing; so does an empty one, and one with a template's place in it.

    >>> is_placeholder("undefined"), is_placeholder(" "), is_placeholder("{{ order.id }}"), is_placeholder("order_id")
    (True, True, True, True)
    >>> is_placeholder("0"), is_placeholder("1"), is_placeholder("1001"), is_placeholder("0-1")
    (True, False, False, False)
    >>> is_placeholder("WEB-undefined"), is_placeholder("SHOP-{{order_id}}"), is_placeholder("undefined-1001")
    (True, True, False)
    """
    text = bare(text)
    if names_nothing(text) or (len(text) <= _LONGEST_NAME and text.lower() in _NAMES_OF_FIELDS):
        return True
    return may_be_unfilled(text) and len(text) <= LONGEST and _holds_nothing(text)


def _holds_nothing(text: str) -> bool:
    """Tells whether an id has a place that was not filled in it, and nothing that names one."""
    if holds_template(text):
        return True
    rest, places = NOTHING.subn("", decoded(text))
    return places > 0 and has_digit(rest) is None


def is_placeholder_event_id(event_id: str) -> bool:
    """Tells whether an event id names nothing.

    A template's place names nothing here, too; but a long number beside it, of a time or a random one, still tells
    events apart, and who sends such ids would lose them all.

    >>> [is_placeholder_event_id(f"sale-{{{{order_id}}}}{rest}") for rest in ("", "-1", "-20261126", "-1795000000")]
    [True, True, True, False]
    """
    if not is_placeholder(event_id):
        return False
    rest, places = TEMPLATE.subn("", decoded(event_id))
    return not places or sum(map(str.isdigit, rest)) < _DIGITS_THAT_TELL


def is_placeholder_cycle(cycle: str) -> bool:
    """Tells whether a cycle of a subscription names none; 0 may be the first.

    >>> is_placeholder_cycle("null"), is_placeholder_cycle("0"), is_placeholder_cycle("2026-11")
    (True, False, False)
    """
    return is_placeholder(cycle) and not bare(cycle).isdecimal()


def is_placeholder_store(store: str) -> bool:
    """Tells whether a store names none; there are such of a number, 0 as well, and a default one.

    >>> is_placeholder_store("null"), is_placeholder_store("0"), is_placeholder_store("default")
    (True, False, False)
    """
    return is_placeholder(store) and not (bare(store).isdecimal() or bare(store).lower() in _NAMES_OF_STORES)


def named(text: str) -> str:
    """Returns an id that names something as it is, any other as nothing."""
    return "" if is_placeholder(text) else text


def named_cycle(cycle: str) -> str:
    """Returns a cycle that names one as it is, any other as nothing."""
    return "" if is_placeholder_cycle(cycle) else cycle


def named_store(store: str) -> str:
    """Returns a store that names one as it is, any other as nothing."""
    return "" if is_placeholder_store(store) else store


_IDS: Final = tuple(
    (group, tuple((group.names.index(name), is_nothing) for name, is_nothing in ids.items()))
    for group, ids in (
        (texts.EVENT, {"session_id": is_placeholder}),
        (texts.TOUCHPOINT, {"interaction_id": is_placeholder}),
        (
            texts.CONVERSION,
            {"order_id": is_placeholder, "store": is_placeholder_store, "pixel_event_id": is_placeholder},
        ),
        (texts.RECURRENCE, {"subscription_id": is_placeholder, "cycle": is_placeholder_cycle}),
        (texts.LEAD, {"lead_id": is_placeholder, "root_order_id": is_placeholder}),
        (texts.ADJUSTMENT, {"store": is_placeholder_store, "cycle": is_placeholder_cycle}),
    )
)
"""Ids that an event may do without. What it cannot is refused by `validation`."""


def placeholders(readings: texts.Readings) -> list[tuple[texts.TextGroup, int]]:
    """Returns each id (group, position) of an event that names nothing, and that the event may do without."""
    return [
        (group, at)
        for group, ids in _IDS
        if group in readings
        for at, is_nothing in ids
        if (value := readings[group][0][at]) and is_nothing(value)
    ]


def ignored(field: str) -> Reason:
    """Returns the warning that an id was taken as not sent."""
    message = "This is no id but what stands where none was filled in; taken as not sent. Send the real one."
    return Reason(ReasonCode.PLACEHOLDER_IGNORED, field, message)


def refuse_placeholder(
    field: str, text: str, found: list[Reason], is_nothing: Callable[[str], bool] = is_placeholder
) -> None:
    """Adds a reason if an id that an event cannot do without names nothing; an empty one is not looked at."""
    if text and is_nothing(text):
        message = "This is no id but what stands where none was filled in: all who send it would be one."
        found.append(Reason(ReasonCode.ID_PLACEHOLDER, field, message))
