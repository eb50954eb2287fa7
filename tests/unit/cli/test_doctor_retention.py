"""What `tributary doctor` says of retention."""

from __future__ import annotations

import pytest

from tributary_cli.doctor_retention import retention_checks
from tributary_domain.retention import Announced
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse.retention import Overdue, RetentionState

DAY = 86_400_000_000
DUE = 20_000 * DAY
SHOP = Workspace.model_validate({"id": "shop", "pepper": {"value": "pepper"}, "retention": {"person_event_months": 26}})


@pytest.mark.parametrize(
    ("state", "overdue", "is_ok", "said"),
    [
        pytest.param(None, None, True, "kept for 26 months", id="it never ran and nothing is due"),
        pytest.param(None, DUE - 999 * DAY, False, "2022-01-09 is there still", id="it never ran and should have"),
        pytest.param(RetentionState(0, DUE), None, True, "kept for 26 months", id="it ran in time"),
        pytest.param(
            RetentionState(0, DUE - 1), None, False, "nobody looked since 2024-10-03", id="it ran too long ago"
        ),
        pytest.param(RetentionState(1 * DAY, DUE), None, True, "none of before 1970-01-02", id="something is gone"),
        pytest.param(RetentionState(0, DUE + 1), DUE, False, "is there still", id="it ran and left something"),
    ],
)
def test_retention_that_is_late_says_so(
    state: RetentionState | None, overdue: int | None, is_ok: bool, said: str
) -> None:
    states = {} if state is None else {"shop": state}
    [check] = retention_checks([SHOP], states, {} if overdue is None else {"shop": Overdue(overdue, 7)}, DUE)
    assert (check.name, check.is_ok) == ("retention:shop", is_ok)
    assert said in check.said
    assert bool(check.next_step) is not is_ok


@pytest.mark.parametrize(
    ("months", "announce_micros", "said"),
    [
        pytest.param({}, DUE, "7 are older, since 2022-01-09, and are deleted from 2024-11-03 on", id="nobody said"),
        pytest.param({}, 0, "7 are older, since 2022-01-09, and are deleted from 2024-11-03 on", id="nobody told yet"),
        pytest.param({}, DUE - 31 * DAY, "2022-01-09 is there still", id="nobody said, and it was told"),
        pytest.param({"person_event_months": 14}, 0, "2022-01-09 is there still", id="somebody said"),
        pytest.param(
            {"person_event_months": 14}, DUE, "deleted from 2024-10-07 on: more at", id="somebody said so now"
        ),
        pytest.param({"person_event_months": 14}, DUE - 3 * DAY, "2022-01-09 is there still", id="and it was told"),
    ],
)
def test_what_will_be_deleted_though_nobody_said_so_is_told(
    months: dict[str, int], announce_micros: int, said: str
) -> None:
    shop = Workspace.model_validate({"id": "shop", "pepper": {"value": "pepper"}, "retention": months})
    states = {"shop": RetentionState(0, DUE, Announced(announce_micros, DUE))}
    [check] = retention_checks([shop], states, {"shop": Overdue(DUE - 999 * DAY, 7)}, DUE)
    assert not check.is_ok
    assert "for 14 months" in check.said
    assert said in check.said
    assert ("or null for ever" in check.next_step) is ("older" in check.said and not months)
    assert ("and the clocks" in check.next_step) is ("more at once" in check.said)
