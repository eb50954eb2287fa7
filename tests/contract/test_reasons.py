"""Reasons are for programs: a code keeps its number for ever, and each that is given is given by some test."""

from __future__ import annotations

import re
from pathlib import Path

from tributary.event.v1.verdict_pb2 import ReasonCode
from tributary_domain import reasons

TESTS = Path(__file__).parents[1]
NUMBERS = {
    **{"UNSPECIFIED": 0, "KIND_MISSING": 1, "EVENT_ID_TOO_LONG": 2, "EVENT_ID_RESERVED": 3, "EVENT_TIME_MISSING": 4},
    **{"TIME_MALFORMED": 5, "EVENT_TIME_OUT_OF_WINDOW": 6, "IDENTIFIER_MISSING": 7, "HASH_MALFORMED": 8},
    **{"FIELD_MISSING": 9, "FIELD_TOO_LONG": 10, "FIELD_MALFORMED": 11, "CURRENCY_UNKNOWN": 12, "AMOUNT_NEGATIVE": 13},
    **{"SESSION_ID_MISSING": 14, "EVENT_MALFORMED": 15, "PERSONAL_DATA_IN_CLEAR": 16, "AMOUNT_TOO_LARGE": 17},
    **{"ID_PLACEHOLDER": 18},
    **{"BOT_USER_AGENT": 40, "USER_AGENT_MISSING": 41, "ADDRESS_LISTED": 42, "HUMAN_CHECK_FAILED": 43},
    **{"AMOUNT_UNEXPECTED": 44, "VELOCITY": 45, "HUMAN_CHECK_REUSED": 46},
    **{"PAYLOAD_DIFFERS": 60, "ORDER_VALUE_DIFFERS": 61, "STATEMENT_DIFFERS": 62, "MERGED_OBSERVATION": 70},
    **{"LOG_FULL": 80, "STORE_UNREACHABLE": 81, "KEY_STORE_UNREACHABLE": 82, "ORDER_CONTENDED": 83},
    **{"IDENTIFIER_BLOCKED": 100, "PHONE_UNREADABLE": 101, "EMAIL_UNREADABLE": 102, "HTTP_LIBRARY_USER_AGENT": 103},
    **{"CLOCK_CORRECTED": 104, "UTM_ON_OWN_SITE": 105, "CONVERSION_NAME_UNKNOWN": 106, "PERSONAL_DATA_REDACTED": 107},
    **{"ADDRESS_UNREADABLE": 108, "HUMAN_CHECK_UNVERIFIED": 109, "VALUE_UNKNOWN": 110},
    **{"PLACEHOLDER_IGNORED": 111, "TIME_AHEAD": 112, "AMOUNT_UNCHECKED": 113},
}
NOT_GIVEN = {"UNSPECIFIED", "EVENT_MALFORMED"}


def known() -> dict[str, int]:
    return {name.removeprefix("REASON_CODE_"): number for name, number in ReasonCode.items()}


def test_no_reason_has_lost_its_number() -> None:
    assert {name: known().get(name) for name in NUMBERS} == NUMBERS


def test_every_reason_of_the_domain_is_one_of_the_contract() -> None:
    assert {code.value for code in reasons.ReasonCode} <= known().keys()


def test_every_reason_is_given_by_some_test() -> None:
    files = [file for file in TESTS.rglob("*.py") if file != Path(__file__)]
    named = {word for file in files for word in re.findall(r"[A-Z][A-Z_]{6,}", file.read_text())}
    missing = [name for name in known() if name not in NOT_GIVEN and not {name, f"REASON_CODE_{name}"} & named]
    assert missing == []
