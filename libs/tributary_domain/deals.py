"""What is checked of a CRM's deal before it is kept.

The one rule: a deal is what the CRM said at `modify_time`; a later state replaces it, an earlier one never does.
"""

from typing import Any, Final

from tributary_domain.amounts import MAX_AMOUNT_MICROS
from tributary_domain.import_checks import (
    WHICH_DAYS,
    check_currency,
    check_name,
    check_number,
    check_size,
    check_statement_time,
    read_day,
)
from tributary_domain.normalization import read_sha256
from tributary_domain.reasons import Reason, ReasonCode

_HIGHEST_STATUS: Final = 3
_TEXTS: Final = {
    "system": (64, True),
    "deal_id": (128, True),
    "stage": (128, True),
    "order_id": (128, False),
    "lead_id": (128, False),
    "contact_id": (128, False),
    "account_id": (128, False),
    "conversion_name": (64, False),
    "store": (64, False),
}
"""Field -> most characters, and whether it is required."""
_CREATOR_CHARACTERS: Final = 256


def check_deal(deal: Any, now_micros: int) -> list[Reason]:
    """Returns every reason why a deal can never be right.

    Args:
        deal: An `ingestion.v1.Deal`.
        now_micros: Our clock.
    """
    found: list[Reason] = []
    for name, (limit, required) in _TEXTS.items():
        check = check_number if name.endswith("_id") else check_name
        check(getattr(deal, name), name, limit, found, required=required)
    if not deal.created_by:
        message = "Say who made it in the CRM: deals that we made ourselves are no evidence."
        found.append(Reason(ReasonCode.FIELD_MISSING, "created_by", message))
    elif len(deal.created_by) > _CREATOR_CHARACTERS:
        found.append(Reason(ReasonCode.FIELD_TOO_LONG, "created_by", f"Longer than {_CREATOR_CHARACTERS} characters."))
    if not 1 <= deal.status <= _HIGHEST_STATUS:
        found.append(Reason(ReasonCode.FIELD_MALFORMED, "status", "Say whether it is open, won or lost."))
    if deal.HasField("amount"):
        check_currency(deal.amount.currency_code, "amount.currency_code", found)
        check_size(deal.amount.amount_micros, "amount.amount_micros", MAX_AMOUNT_MICROS, found)
    if deal.contact_email_sha256 and read_sha256(deal.contact_email_sha256) is None:
        message = "SHA-256 of the trimmed, lower-case address: 64 hexadecimal digits."
        found.append(Reason(ReasonCode.HASH_MALFORMED, "contact_email_sha256", message))
    if deal.HasField("close_date") and read_day(deal.close_date) is None:
        message = f"{WHICH_DAYS}; leave it out where nobody knows it."
        found.append(Reason(ReasonCode.FIELD_MALFORMED, "close_date", message))
    modified = deal.modify_time if deal.HasField("modify_time") else None
    check_statement_time(modified, "modify_time", now_micros, found)
    return found
