"""Where something is wrong with a destination, the command that mends it stands below."""

from __future__ import annotations

from typing import Any

import pytest

from tributary.delivery.v1.delivery_pb2 import OUTCOME_CLASS_CONFIG, OUTCOME_CLASS_OK
from tributary.delivery.v1.delivery_service_pb2 import DestinationStatus
from tributary_cli.delivery_lines import next_steps

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


def test_what_the_file_pauses_the_file_resumes() -> None:
    status = DestinationStatus(destination_id="meta", paused=True, pause_reason="Paused in workspaces.yaml.")
    assert next_steps(status) == ["Take `paused: true` of meta out of workspaces.yaml."]
