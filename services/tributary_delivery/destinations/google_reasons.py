"""What the reasons mean that Google gives: its Data Manager API at once, and in the status of a request hours later.

Which clicks are not ours, its older uploads say in their own words, here too.
"""

from __future__ import annotations

from typing import Final

from tributary.delivery.v1.delivery_pb2 import OutcomeClass
from tributary_delivery.destinations.destination import CONFIG, OK, PERMANENT, RETRY, UNKNOWN

_CONFIG_AT_ONCE: Final = frozenset(
    {
        "TERMS_AND_CONDITIONS_NOT_SIGNED",
        "INVALID_CONVERSION_ACTION_ID",
        "INVALID_CONVERSION_ACTION_TYPE",
        "INVALID_DESTINATION",
        "OPERATING_ACCOUNT_LOGIN_ACCOUNT_MISMATCH",
        "NOT_ALLOWLISTED",
    }
)
_CONFIG_PREFIX: Final = "DESTINATION_ACCOUNT_"
_TOO_NEW: Final = "CONVERSION_ACTION_TOO_RECENTLY_CREATED"

_PREFIX: Final = "PROCESSING_ERROR_"
_REASON: Final = "REASON_"
_LATER: Final = {
    "TOO_RECENT_CLICK": RETRY,
    "INTERNAL_ERROR": RETRY,
    "DUPLICATE_TRANSACTION_ID": OK,
    "DUPLICATE_GCLID": OK,
    "DESTINATION_ACCOUNT_ENHANCED_CONVERSIONS_TERMS_NOT_SIGNED": CONFIG,
    "CUSTOM_VARIABLE_NOT_ENABLED": CONFIG,
    "EXTERNAL_ATTRIBUTION_DATA_MISSING": CONFIG,
    **dict.fromkeys(
        (
            "CLICK_NOT_FOUND",
            "INVALID_CLICK",
            "INVALID_OPERATING_ACCOUNT_FOR_CLICK",
            "OPERATING_ACCOUNT_MISMATCH_FOR_AD_IDENTIFIER",
            "EVENT_TOO_OLD",
            "INVALID_GCLID",
            "INVALID_GBRAID",
            "INVALID_WBRAID",
            "INVALID_EVENT",
            "INVALID_FORMAT",
            "CONVERSION_PRECEDES_CLICK",
            "ONE_PER_CLICK_CONVERSION_ACTION_NOT_PERMITTED_WITH_BRAID",
            "DENIED_CONSENT",
            "NO_CONSENT",
            "UNKNOWN_CONSENT",
            "ORIGINAL_CONVERSIONS_NOT_FOUND",
        ),
        PERMANENT,
    ),
}

TOO_EARLY: Final = frozenset({"TOO_RECENT_CLICK"})
"""Reasons in the status of a request that only a click of the last hours has."""

FOREIGN: Final = frozenset(
    {
        "INVALID_CUSTOMER_FOR_CLICK",
        "INVALID_OPERATING_ACCOUNT_FOR_CLICK",
        "OPERATING_ACCOUNT_MISMATCH_FOR_AD_IDENTIFIER",
    }
)
"""Reasons that say that the click belongs to another account."""

NOT_OURS: Final = FOREIGN | {"CLICK_NOT_FOUND", "EVENT_NOT_FOUND", "INVALID_CLICK"}
"""Reasons that are counted and alarm nobody: the click belongs to another account, or to none."""


def class_at_once(reason: str) -> OutcomeClass.ValueType | None:
    """Returns what a reason in an error comes to where it says more than that an event is wrong.

    >>> class_at_once("INVALID_DESTINATION") == CONFIG, class_at_once("INVALID_HEX_ENCODING")
    (True, None)
    """
    if reason in _CONFIG_AT_ONCE or reason.startswith(_CONFIG_PREFIX):
        return CONFIG
    return RETRY if reason == _TOO_NEW else None


def class_later(reason: str) -> OutcomeClass.ValueType:
    """Returns what a reason in the status of a request comes to; a reason that is not known here is UNKNOWN.

    >>> class_later("PROCESSING_ERROR_REASON_DUPLICATE_GCLID") == OK, class_later("NEW_ONE") == UNKNOWN
    (True, True)
    """
    return _LATER.get(plain_reason(reason), UNKNOWN)


def plain_reason(reason: str) -> str:
    """Returns a reason without the enum's name before it, which one of them has only half of."""
    return reason.removeprefix(_PREFIX).removeprefix(_REASON)
