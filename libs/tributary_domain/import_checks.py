"""What is checked of every line that is imported: spend, deals, exchange rates.

The one rule: all problems at once, each with its field, and never a value in a message. What is imported is a statement
of somebody outside at a time of his own; two statements of one time that differ contradict each other.
"""

from collections.abc import Callable
from datetime import date
from typing import Any, Final

from tributary_domain.event_shape import MomentLike
from tributary_domain.event_times import MICROS, read_micros
from tributary_domain.money import is_currency
from tributary_domain.personal import holds_personal
from tributary_domain.personal_texts import names_somebody, number_names_somebody
from tributary_domain.reasons import Reason, ReasonCode

AHEAD_MICROS: Final = 300 * MICROS
"""How far a statement may be ahead of our clock: of an outside system, whose clock is not ours."""

FIRST_DAY: Final = date(2000, 1, 1)
"""Nothing before is imported: a wrong century, not history."""

LAST_DAY: Final = date(2299, 12, 31)
"""The last that can be stored: a later one would be kept as the first of 1970. 9999-12-31 stands for no day."""

WHICH_DAYS: Final = f"A day of the calendar, {FIRST_DAY} to {LAST_DAY}"
"""What is said of a day that is none of them."""


def day_of(day: Any) -> date:
    """Returns a `common.v1.CalendarDate` as a date.

    Raises:
        ValueError: It is no day.
    """
    return date(day.year, day.month, day.day)


def read_day(day: Any) -> date | None:
    """Returns a `common.v1.CalendarDate` as a date; `None` if it is no day, or none that can be imported."""
    try:
        read = day_of(day)
    except ValueError:
        return None
    return read if FIRST_DAY <= read <= LAST_DAY else None


def check_day(message: Any, field: str, found: list[Reason], path: str = "") -> date | None:
    """Returns a required day; adds what is wrong with it."""
    name = f"{path}{field}"
    if not message.HasField(field):
        found.append(Reason(ReasonCode.FIELD_MISSING, name, "Say which day."))
        return None
    day = read_day(getattr(message, field))
    if day is None:
        found.append(Reason(ReasonCode.FIELD_MALFORMED, name, f"{WHICH_DAYS}."))
    return day


def check_statement_time(moment: MomentLike | None, field: str, now_micros: int, found: list[Reason]) -> int | None:
    """Returns when something was stated, in microseconds; adds what is wrong with it."""
    if moment is None:
        found.append(Reason(ReasonCode.FIELD_MISSING, field, "Say when it was stated: a newer statement replaces it."))
        return None
    micros = read_micros(moment)
    if micros is None or micros <= 0:
        found.append(Reason(ReasonCode.TIME_MALFORMED, field, "A time after 1970."))
        return None
    if micros > now_micros + AHEAD_MICROS:
        message = "In the future: no newer statement could replace it."
        found.append(Reason(ReasonCode.FIELD_MALFORMED, field, message))
        return None
    return micros


def check_text(value: str, field: str, limit: int, found: list[Reason], *, required: bool = False) -> None:
    """Adds what is wrong with words for people, which are stored as they are."""
    _check(value, field, limit, found, holds_personal, required=required)


def check_name(value: str, field: str, limit: int, found: list[Reason], *, required: bool = False) -> None:
    """Adds what is wrong with a name, or the id of an ad: one that is somebody's no event keeps, either."""
    _check(value, field, limit, found, names_somebody, required=required)


def check_number(value: str, field: str, limit: int, found: list[Reason], *, required: bool = False) -> None:
    """Adds what is wrong with the number of an order or a lead, or with an id that the CRM gave."""
    _check(value, field, limit, found, number_names_somebody, required=required)


def _check(
    value: str, field: str, limit: int, found: list[Reason], is_somebodys: Callable[[str], bool], *, required: bool
) -> None:
    if required and not value:
        found.append(Reason(ReasonCode.FIELD_MISSING, field, "Required."))
    elif len(value) > limit:
        found.append(Reason(ReasonCode.FIELD_TOO_LONG, field, f"Longer than {limit} characters."))
    elif is_somebodys(value):
        message = "Looks like somebody's e-mail address, phone number, IP address or user agent; use what names nobody."
        found.append(Reason(ReasonCode.PERSONAL_DATA_IN_CLEAR, field, message))


def check_currency(code: str, field: str, found: list[Reason]) -> None:
    """Adds what is wrong with a currency."""
    if not is_currency(code):
        message = "Use a currency code of ISO 4217 in capitals: EUR."
        found.append(Reason(ReasonCode.CURRENCY_UNKNOWN, field, message))


def check_size(micros: int, field: str, limit: int, found: list[Reason]) -> None:
    """Adds what is wrong with a number whose size is bounded on both sides."""
    if not -limit <= micros <= limit:
        found.append(Reason(ReasonCode.AMOUNT_TOO_LARGE, field, f"Larger than {limit // MICROS} units."))
