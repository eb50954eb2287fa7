"""What an answer means: only what says something of the token makes anybody guilty."""

from __future__ import annotations

from typing import Any

import pytest

from tributary_domain.human_check import HumanVerdict, Provider, read_answer

HUMAN, BOT, UNKNOWN = HumanVerdict.HUMAN, HumanVerdict.BOT, HumanVerdict.UNKNOWN


@pytest.mark.parametrize(
    ("answer", "is_late", "verdict"),
    [
        pytest.param({"success": True}, False, HUMAN, id="right"),
        pytest.param({"success": True, "error-codes": []}, False, HUMAN, id="right, as Turnstile says it"),
        pytest.param({"success": False, "error-codes": ["invalid-input-response"]}, False, BOT, id="a false token"),
        pytest.param({"success": False, "error-codes": ["missing-input-response"]}, False, BOT, id="an empty token"),
        pytest.param({"success": False}, False, BOT, id="failed without a code"),
        pytest.param({"success": False, "error-codes": ["timeout-or-duplicate"]}, False, BOT, id="spent"),
        pytest.param({"success": False, "error-codes": ["timeout-or-duplicate"]}, True, UNKNOWN, id="late"),
        pytest.param({"success": False, "error-codes": ["expired-input-response"]}, True, UNKNOWN, id="late, hCaptcha"),
        pytest.param({"success": False, "error-codes": ["invalid-input-response"]}, True, BOT, id="false and late"),
        pytest.param({"success": False, "error-codes": ["invalid-input-secret"]}, False, UNKNOWN, id="our secret"),
        pytest.param({"success": False, "error-codes": ["internal-error"]}, False, UNKNOWN, id="Turnstile is down"),
        pytest.param({"success": False, "error-codes": ["bad-request"]}, False, UNKNOWN, id="our request"),
        pytest.param({"success": False, "error-codes": ["something-new"]}, False, UNKNOWN, id="a code of tomorrow"),
        pytest.param({"success": "true"}, False, UNKNOWN, id="a text for a truth value"),
        pytest.param({}, False, UNKNOWN, id="nothing"),
        pytest.param([], False, UNKNOWN, id="a list"),
        pytest.param(None, False, UNKNOWN, id="no JSON"),
        pytest.param({"success": False, "error-codes": "x"}, False, BOT, id="codes that are none"),
    ],
)
def test_an_answer_has_a_verdict(answer: Any, is_late: bool, verdict: HumanVerdict) -> None:
    assert read_answer(Provider.TURNSTILE, answer, 50, is_late=is_late).verdict is verdict


@pytest.mark.parametrize(
    ("provider", "score", "verdict", "percent"),
    [
        pytest.param(Provider.RECAPTCHA, 0.9, HUMAN, 90, id="trusted"),
        pytest.param(Provider.RECAPTCHA, 0.5, HUMAN, 50, id="at the limit"),
        pytest.param(Provider.RECAPTCHA, 0.49, BOT, 49, id="below it"),
        pytest.param(Provider.RECAPTCHA, 0, BOT, 0, id="a bot for certain"),
        pytest.param(Provider.HCAPTCHA, 0.1, HUMAN, 90, id="little risk"),
        pytest.param(Provider.HCAPTCHA, 0.9, BOT, 10, id="much risk"),
        pytest.param(Provider.RECAPTCHA, 1.5, HUMAN, None, id="no score"),
        pytest.param(Provider.RECAPTCHA, "0.1", HUMAN, None, id="a text"),
        pytest.param(Provider.RECAPTCHA, True, HUMAN, None, id="a truth value"),
        pytest.param(Provider.RECAPTCHA, None, HUMAN, None, id="none"),
    ],
)
def test_a_score_decides_and_is_kept_as_trust(
    provider: Provider, score: Any, verdict: HumanVerdict, percent: int | None
) -> None:
    found = read_answer(provider, {"success": True, "score": score}, 50, is_late=False)
    assert (found.verdict, found.score_percent) == (verdict, percent)
