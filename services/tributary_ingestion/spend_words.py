"""Words of imported spend that are somebody's by what they look like, cut as they are cut out of the ads of events.

The one rule: a word that an event loses its spend loses, too, so that both are of the same campaign, or of none.
"""

from functools import lru_cache
from typing import Final

from tributary.ingestion.v1.spend_pb2 import SpendSlice
from tributary_domain.reasons import Reason, ReasonCode
from tributary_domain.url_parts import is_telling_campaign_part

_WORDS: Final = {"campaign_name": "campaign", "source": "source", "medium": "medium"}
"""Field of a row -> which part of a campaign it is like."""
_REPORTED: Final = ("name", "basis")
"""What a destination calls the conversions that it counts; required, so that a dash stands for what is cut."""
_CUT: Final = (
    "This held what looks like somebody's: an IP address, a user agent, an e-mail address in base64, the hash of one, "
    "a phone number or a token; taken out."
)


def settle_words(spend: SpendSlice) -> list[Reason]:
    """Cuts the words out of a slice that are somebody's.

    Args:
        spend: Ours: it is changed.

    Returns:
        A warning per word.
    """
    reasons: list[Reason] = []
    for at, row in enumerate(spend.rows):
        for name, part in _WORDS.items():
            word = getattr(row, name)
            if word and _is_somebodys(part, word):
                setattr(row, name, "")
                reasons.append(Reason(ReasonCode.PERSONAL_DATA_REDACTED, f"rows[{at}].{name}", _CUT))
        for place, reported in enumerate(row.reported_conversions):
            for name in _REPORTED:
                if _is_somebodys("content", getattr(reported, name)):
                    setattr(reported, name, "-")
                    field = f"rows[{at}].reported_conversions[{place}].{name}"
                    reasons.append(Reason(ReasonCode.PERSONAL_DATA_REDACTED, field, _CUT))
    return reasons


@lru_cache(4_096)
def _is_somebodys(part: str, word: str) -> bool:
    """Tells it; remembered, because the rows of a slice say the same words day by day."""
    return is_telling_campaign_part(part, word)
