"""Exit statuses of reconciliation mean what its help says: nothing that was not begun calls a promise broken."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tributary_attribution.reconcile import main
from tributary_attribution.runs import FAILED, UNFINISHED


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """That of an installation without stores: nothing may be opened."""
    file = tmp_path / "workspaces.yaml"
    file.write_text("workspaces: [{id: shop, pepper: {value: salt}}]")
    for name, value in {
        "LOG_URL": "redis://127.0.0.1:1",
        "STATE_URL": "redis://127.0.0.1:1",
        "CLICKHOUSE_URL": "clickhouse://127.0.0.1:1",
        "WORKSPACES_FILE": str(file),
        "INTERNAL_TOKEN": "of-this-test-only",
    }.items():
        monkeypatch.setenv(f"TRIBUTARY_{name}", value)
    yield
    structlog.reset_defaults()


def _status(arguments: list[str]) -> object:
    """Returns what the process exits with."""
    with pytest.raises(SystemExit) as exited:
        sys.exit(main(arguments))
    return exited.value.code


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param([], "--workspace", id="of nobody"),
        pytest.param(["--workspace", "shop", "--all"], "not allowed with", id="of one and all"),
        pytest.param(["--all", "--resume", "r1:a"], "one --workspace", id="the run of somebody"),
        pytest.param(["--all", "--days", "999999999"], "--days: 999999999 is not from 1 to", id="days of no calendar"),
        pytest.param(["--all", "--days", "0"], "--days", id="no days"),
        pytest.param(["--all", "--days", "two"], "invalid whole number", id="no number"),
        pytest.param(["--all", "--past-days", "-1"], "--past-days", id="a past of less than none"),
        pytest.param(["--all", "--past-runs", "0"], "--past-runs", id="in no runs"),
        pytest.param(["--all", "--slices", "0"], "--slices", id="in no parts"),
        pytest.param(["--all", "--grace-seconds", "nan"], "--grace-seconds: nan is no number", id="a grace of no time"),
        pytest.param(["--all", "--grace-seconds", "1e300"], "--grace-seconds", id="a grace for ever"),
        pytest.param(["--all", "--since", "0001-01-01"], "no events are of", id="before all events"),
        pytest.param(["--all", "--until", "9999-12-31"], "no events are of", id="after all events"),
        pytest.param(["--all", "--until", "tomorrow"], "write 2026-11-01", id="no day"),
        pytest.param(["--all", "--since", "2026-11-02", "--until", "2026-11-01"], "later", id="ends before it begins"),
        pytest.param(["--workspace", "blog"], "NOT_FOUND: There is no such workspace; look at", id="of a stranger"),
        pytest.param(["--workspace", "blog"], "(workspace blog)", id="of a stranger, who is named"),
    ],
)
def test_what_cannot_be_begun_is_said_and_is_no_finding(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _status(arguments) == UNFINISHED
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


@pytest.mark.parametrize("missing", ["TRIBUTARY_LOG_URL", "TRIBUTARY_WORKSPACES_FILE"])
def test_a_setting_that_is_missing_is_no_broken_promise(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(missing)
    assert _status(["--workspace", "shop"]) == UNFINISHED
    assert f"{missing}: is required" in capsys.readouterr().err


def test_a_mistake_of_ours_is_no_finding(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    async def wrong(*_: object) -> int:
        raise LookupError("of nothing")

    monkeypatch.setattr("tributary_attribution.reconcile.reconcile", wrong)
    assert _status(["--workspace", "shop"]) == UNFINISHED
    assert "LookupError: of nothing" in capsys.readouterr().err


def test_no_status_says_two_things() -> None:
    assert UNFINISHED not in {0, *FAILED.values()}
