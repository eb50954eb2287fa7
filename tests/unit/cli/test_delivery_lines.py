"""Where something is wrong with a destination, the command that mends it stands below."""

from __future__ import annotations

from typing import Any

import pytest

from tributary.common.v1.money_pb2 import Money
from tributary.delivery.v1.delivery_pb2 import OUTCOME_CLASS_CONFIG, OUTCOME_CLASS_OK, OUTCOME_CLASS_RETRY, Delivery
from tributary.delivery.v1.delivery_service_pb2 import DestinationStatus
from tributary_cli.delivery_lines import Doubt, delivery_line, destination_line, next_steps

REFUSED = {"paused": True, "last_outcome": OUTCOME_CLASS_CONFIG}


@pytest.mark.parametrize(
    ("status", "commands"),
    [
        pytest.param({"last_outcome": OUTCOME_CLASS_OK, "pending": 9}, [], id="well"),
        pytest.param({**REFUSED, "pause_reason": "HTTP 401, error 190/0"}, ["test meta", "resume meta"], id="refused"),
        pytest.param({"paused": True, "pause_reason": "the agency asked"}, ["resume meta"], id="by an operator"),
        pytest.param({**REFUSED, "pause_reason": "Then `tributary deliveries resume meta`."}, [], id="said already"),
        pytest.param({"dead": 2}, ["list --destination meta --state DEAD", "replay --destination meta"], id="dead"),
    ],
)
def test_a_destination_says_which_command_helps(status: dict[str, Any], commands: list[str]) -> None:
    said = " ".join(next_steps(DestinationStatus(destination_id="meta", **status)))
    assert said.count("`tributary deliveries ") == len(commands)
    for command in commands:
        assert f"`tributary deliveries {command}`" in said


@pytest.mark.parametrize(
    ("doubt", "commands"),
    [
        pytest.param(Doubt.ALL, ["replay --destination meta --risk-duplicates"], id="all"),
        pytest.param(
            Doubt.SOME, ["replay --destination meta", "replay --destination meta --risk-duplicates"], id="some"
        ),
    ],
)
def test_what_the_destination_may_have_is_not_said_to_be_sent_again_without_a_risk(
    doubt: Doubt, commands: list[str]
) -> None:
    [said] = next_steps(DestinationStatus(destination_id="meta", dead=12), doubt)
    assert [part for part in said.split("`")[1::2] if " replay " in part] == [
        f"tributary deliveries {command}" for command in commands
    ]
    assert "count them twice" in said


def test_what_the_file_pauses_the_file_resumes() -> None:
    status = DestinationStatus(destination_id="meta", paused=True, pause_reason="Paused in workspaces.yaml.")
    assert next_steps(status) == ["Take `paused: true` of meta out of workspaces.yaml."]


@pytest.mark.parametrize(
    ("micros", "currency", "conversions", "said"),
    [
        pytest.param(20_000_000, "EUR", 0, "has 20.00 EUR too much", id="too much"),
        pytest.param(-20_000_000, "EUR", 0, "has 20.00 EUR too little", id="too little"),
        pytest.param(90_000_000, "USD", 0, "has 90.00 USD instead of 70.00 EUR", id="another currency"),
        pytest.param(90_000_000, "EUR", 1, "counts it still, with 90.00 EUR", id="taken back"),
        pytest.param(0, "", 1, "counts it still", id="taken back, of no value"),
        pytest.param(-70_000_000, "EUR", -1, "lacks it, with 70.00 EUR", id="lacking"),
        pytest.param(0, "EUR", 0, "has it right again", id="right again"),
    ],
)
def test_what_a_destination_has_wrong_is_said_in_words(micros: int, currency: str, conversions: int, said: str) -> None:
    residual = Money(currency_code=currency, amount_micros=micros)
    value = Money(currency_code="EUR", amount_micros=70_000_000)
    line = Delivery(destination_id="meta", value=value, residual=residual, residual_conversions=conversions)
    assert delivery_line(line).endswith(said)


@pytest.mark.parametrize(
    ("attempts", "said"),
    [
        pytest.param(0, "did not leave: RETRY  No connection was made.", id="at first"),
        pytest.param(2, "did not leave, after 2 that did: RETRY  No connection was made.", id="by now"),
    ],
)
def test_what_could_not_leave_is_no_attempt(attempts: int, said: str) -> None:
    line = Delivery(attempts=attempts, unsent=True, outcome=OUTCOME_CLASS_RETRY, message="No connection was made.")
    assert delivery_line(line).endswith(said)


def test_a_destination_that_never_reports_says_so() -> None:
    status = DestinationStatus(destination_id="meta", type="meta", reports_later=False)
    assert destination_line(status) == "meta  meta  0 waiting  0 dead  reports: none"
    status.reports_later = True
    assert destination_line(status) == "meta  meta  0 waiting  0 dead"
