"""A refusal that only a person can end is told from one that passes, in the words of the guards themselves."""

from __future__ import annotations

import json

import pytest

from tributary_cli.stack.loss_refusals import refused_role
from tributary_storage.continuity import older


def _line(reason: str, event: str = "became_not_ready") -> str:
    return json.dumps({"guard": "redis", "reason": reason, "event": event, "level": "warning"})


LOST = _line(older("state", ["3"]).message)
PASSES = _line("Redis did not answer.")


@pytest.mark.parametrize(
    ("log", "role"),
    [
        pytest.param("", None, id="nothing-said"),
        pytest.param(PASSES, None, id="a-store-that-does-not-answer"),
        pytest.param(f"{PASSES}\n{LOST}\n", "state", id="a-loss-after-an-outage"),
        pytest.param(_line(older("log", ["1/live"]).message), "log", id="the-log"),
        pytest.param(_line(older("jobs", ["shop/ga4"]).message), "jobs", id="the-jobs"),
        pytest.param(LOST[:-5], None, id="half-a-line"),
        pytest.param(f"became_not_ready, said a traceback\n{LOST}", "state", id="what-is-no-json-before-it"),
        pytest.param(_line("--confirm-loss log", event="another"), None, id="another-event"),
    ],
)
def test_the_role_that_lost_data_is_read_from_the_log(log: str, role: str | None) -> None:
    assert refused_role(log) == role
