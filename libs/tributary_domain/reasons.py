"""Why an event was decided on as it was: stable codes, the field to blame, and a sentence for people.

The one rule: a message says how to mend it and never repeats a value, which may be personal.
"""

from enum import StrEnum
from typing import Final, NamedTuple


class ReasonCode(StrEnum):
    """The codes that the door gives, and those of a conflict; `REASON_CODE_<name>` in `event.v1.ReasonCode`."""

    KIND_MISSING = "KIND_MISSING"
    EVENT_ID_TOO_LONG = "EVENT_ID_TOO_LONG"
    EVENT_ID_RESERVED = "EVENT_ID_RESERVED"
    EVENT_TIME_MISSING = "EVENT_TIME_MISSING"
    TIME_MALFORMED = "TIME_MALFORMED"
    EVENT_TIME_OUT_OF_WINDOW = "EVENT_TIME_OUT_OF_WINDOW"
    IDENTIFIER_MISSING = "IDENTIFIER_MISSING"
    HASH_MALFORMED = "HASH_MALFORMED"
    FIELD_MISSING = "FIELD_MISSING"
    FIELD_TOO_LONG = "FIELD_TOO_LONG"
    FIELD_MALFORMED = "FIELD_MALFORMED"
    CURRENCY_UNKNOWN = "CURRENCY_UNKNOWN"
    AMOUNT_NEGATIVE = "AMOUNT_NEGATIVE"
    SESSION_ID_MISSING = "SESSION_ID_MISSING"
    PERSONAL_DATA_IN_CLEAR = "PERSONAL_DATA_IN_CLEAR"
    AMOUNT_TOO_LARGE = "AMOUNT_TOO_LARGE"
    ID_PLACEHOLDER = "ID_PLACEHOLDER"

    BOT_USER_AGENT = "BOT_USER_AGENT"
    ADDRESS_LISTED = "ADDRESS_LISTED"
    VELOCITY = "VELOCITY"
    USER_AGENT_MISSING = "USER_AGENT_MISSING"
    HUMAN_CHECK_FAILED = "HUMAN_CHECK_FAILED"
    HUMAN_CHECK_REUSED = "HUMAN_CHECK_REUSED"
    AMOUNT_UNEXPECTED = "AMOUNT_UNEXPECTED"

    PAYLOAD_DIFFERS = "PAYLOAD_DIFFERS"
    ORDER_VALUE_DIFFERS = "ORDER_VALUE_DIFFERS"
    STATEMENT_DIFFERS = "STATEMENT_DIFFERS"

    IDENTIFIER_BLOCKED = "IDENTIFIER_BLOCKED"
    PHONE_UNREADABLE = "PHONE_UNREADABLE"
    EMAIL_UNREADABLE = "EMAIL_UNREADABLE"
    HTTP_LIBRARY_USER_AGENT = "HTTP_LIBRARY_USER_AGENT"
    CLOCK_CORRECTED = "CLOCK_CORRECTED"
    UTM_ON_OWN_SITE = "UTM_ON_OWN_SITE"
    CONVERSION_NAME_UNKNOWN = "CONVERSION_NAME_UNKNOWN"
    PERSONAL_DATA_REDACTED = "PERSONAL_DATA_REDACTED"
    ADDRESS_UNREADABLE = "ADDRESS_UNREADABLE"
    HUMAN_CHECK_UNVERIFIED = "HUMAN_CHECK_UNVERIFIED"
    VALUE_UNKNOWN = "VALUE_UNKNOWN"
    PLACEHOLDER_IGNORED = "PLACEHOLDER_IGNORED"
    TIME_AHEAD = "TIME_AHEAD"
    AMOUNT_UNCHECKED = "AMOUNT_UNCHECKED"


QUARANTINING: Final = frozenset(
    {
        ReasonCode.BOT_USER_AGENT,
        ReasonCode.ADDRESS_LISTED,
        ReasonCode.VELOCITY,
        ReasonCode.USER_AGENT_MISSING,
        ReasonCode.HUMAN_CHECK_FAILED,
        ReasonCode.HUMAN_CHECK_REUSED,
        ReasonCode.AMOUNT_UNEXPECTED,
    }
)
"""Why an event is quarantined."""


class Reason(NamedTuple):
    """One reason. A tuple, because a batch may bring a thousand."""

    code: ReasonCode
    """Stable, for programs."""
    field: str
    """Path into the event: `conversion.value.currency_code`; empty where no one field is to blame."""
    message: str
    """For people."""


def payload_differs() -> Reason:
    """Returns why an event conflicts whose id is known with another payload."""
    return _PAYLOAD_DIFFERS


def order_value_differs(kind: str | None) -> Reason:
    """Returns why an event conflicts whose order, or adjustment, is known with another value of the same rank.

    Args:
        kind: `event.WhichOneof("kind")`.
    """
    return _AMOUNT_DIFFERS if kind == "adjustment" else _VALUE_DIFFERS


_PAYLOAD_DIFFERS: Final = Reason(
    ReasonCode.PAYLOAD_DIFFERS, "event_id", "This event id is known with another payload; use an id per event."
)
_VALUE_DIFFERS: Final = Reason(
    ReasonCode.ORDER_VALUE_DIFFERS,
    "conversion.value",
    "An equally ranked source stated another value for this order; send the change as an adjustment, and a further "
    "stage of a lead without this order number.",
)
_AMOUNT_DIFFERS: Final = Reason(
    ReasonCode.ORDER_VALUE_DIFFERS,
    "adjustment.amount",
    "An equally ranked source stated another amount for this adjustment; use an adjustment_id per adjustment.",
)
