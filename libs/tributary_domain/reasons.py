"""Why an event was decided on as it was: stable codes, the field to blame, and a sentence for people.

The one rule: a message says how to mend it and never repeats a value, which may be personal.
"""

from enum import StrEnum
from typing import NamedTuple


class ReasonCode(StrEnum):
    """The codes that the door gives; `REASON_CODE_<name>` in `event.v1.ReasonCode`, where each is explained."""

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
    PERSONAL_DATA_IN_CLEAR = "PERSONAL_DATA_IN_CLEAR"

    BOT_USER_AGENT = "BOT_USER_AGENT"
    USER_AGENT_MISSING = "USER_AGENT_MISSING"
    HUMAN_CHECK_FAILED = "HUMAN_CHECK_FAILED"
    AMOUNT_UNEXPECTED = "AMOUNT_UNEXPECTED"

    IDENTIFIER_BLOCKED = "IDENTIFIER_BLOCKED"
    PHONE_UNREADABLE = "PHONE_UNREADABLE"
    EMAIL_UNREADABLE = "EMAIL_UNREADABLE"
    HTTP_LIBRARY_USER_AGENT = "HTTP_LIBRARY_USER_AGENT"
    CLOCK_CORRECTED = "CLOCK_CORRECTED"
    UTM_ON_OWN_SITE = "UTM_ON_OWN_SITE"
    CONVERSION_NAME_UNKNOWN = "CONVERSION_NAME_UNKNOWN"


class Reason(NamedTuple):
    """One reason. A tuple, because a batch may bring a thousand."""

    code: ReasonCode
    """Stable, for programs."""
    field: str
    """Path into the event: `conversion.value.currency_code`; empty where no one field is to blame."""
    message: str
    """For people."""
