"""What a provider's answer to a human-check token means.

All three speak the same dialect: `{"success": bool, "error-codes": [...], "score": number}`. The one rule: only what
says something of the token makes anybody guilty. A fault of the provider, of our secret, or of the way there is
UNKNOWN.
"""

from enum import IntEnum, StrEnum
from typing import Any, Final, NamedTuple


class Provider(StrEnum):
    """Who verifies a token."""

    RECAPTCHA = "recaptcha"
    HCAPTCHA = "hcaptcha"
    TURNSTILE = "turnstile"


PROVIDERS: Final = (None, Provider.RECAPTCHA, Provider.HCAPTCHA, Provider.TURNSTILE)
"""By the number of `event.v1.HumanCheckProvider`; any other is unknown here."""

ENDPOINTS: Final = {
    Provider.RECAPTCHA: "https://www.google.com/recaptcha/api/siteverify",
    Provider.HCAPTCHA: "https://api.hcaptcha.com/siteverify",
    Provider.TURNSTILE: "https://challenges.cloudflare.com/turnstile/v0/siteverify",
}
"""Where each verifies, unless another place is declared."""


class HumanVerdict(IntEnum):
    """Whether a human did it, as `event.v1.HumanVerdict`."""

    UNSPECIFIED = 0
    HUMAN = 1
    BOT = 2
    UNKNOWN = 3


class Checked(NamedTuple):
    """What came of a token."""

    verdict: HumanVerdict
    score_percent: int | None = None
    """0 (bot) to 100 (human), where the provider scores."""
    fault: str = ""
    """Why it is unknown, for the log: a code of the provider's, or what was wrong with the answer."""


LATE: Final = "late"
"""The fault of a token that may have expired on the way."""

SPENT_HERE: Final = "spent here"
"""The fault of a token that we had asked about before, or may have, without an answer that is known."""

REUSED: Final = "reused"
"""The fault of a token that has vouched for as many as it may."""

_BAD_TOKEN: Final = frozenset({"invalid-input-response", "missing-input-response", "invalid-or-already-seen-response"})
_SPENT_TOKEN: Final = frozenset({"timeout-or-duplicate", "already-seen-response", "expired-input-response"})
"""Used before, or too old: the providers do not all tell which."""
_MAYBE_SPENT: Final = _SPENT_TOKEN | {"invalid-or-already-seen-response"}


def read_answer(
    provider: Provider, answer: Any, minimum_score_percent: int, *, is_late: bool, was_asked: bool = False
) -> Checked:
    """Returns what an answer means.

    Args:
        provider: Whose it is: hCaptcha scores risk, reCAPTCHA trust.
        answer: Its JSON.
        minimum_score_percent: Below it the check has failed.
        is_late: Whether the event is older than a token lives: it may have expired on the way, through nobody's fault.
        was_asked: Whether we asked about this token before, or may have, and do not know the answer: then it may be us
            who spent it.
    """
    if not isinstance(answer, dict) or not isinstance(answer.get("success"), bool):
        return Checked(HumanVerdict.UNKNOWN, fault="malformed")
    if answer["success"]:
        score = _percent(provider, answer.get("score"))
        is_bot = score is not None and score < minimum_score_percent
        return Checked(HumanVerdict.BOT if is_bot else HumanVerdict.HUMAN, score)
    codes = answer.get("error-codes")
    codes = [code for code in codes if isinstance(code, str)] if isinstance(codes, list) else []
    for code in codes:
        if code not in _BAD_TOKEN and code not in _SPENT_TOKEN:
            return Checked(HumanVerdict.UNKNOWN, fault=code[:64])
        if is_late and code in _SPENT_TOKEN:
            return Checked(HumanVerdict.UNKNOWN, fault=LATE)
        if was_asked and code in _MAYBE_SPENT:
            return Checked(HumanVerdict.UNKNOWN, fault=SPENT_HERE)
    return Checked(HumanVerdict.BOT)


def _percent(provider: Provider, score: Any) -> int | None:
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
        return None
    percent = round(100 * score)
    return 100 - percent if provider is Provider.HCAPTCHA else percent
