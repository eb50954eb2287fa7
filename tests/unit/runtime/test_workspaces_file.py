"""A bad file never replaces a good one."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
import yaml

from tests.support.eventually import eventually_async
from tests.unit.runtime.conftest import LogLines
from tributary_runtime.clock import SystemClock
from tributary_runtime.errors import NotFoundError
from tributary_runtime.workspaces_file import InvalidWorkspacesError, WorkspacesFile, parse_workspaces


def content(*ids: str, pepper: object = None) -> str:
    return yaml.safe_dump({"workspaces": [{"id": one, "pepper": pepper or {"value": "salt"}} for one in ids]})


GOOD = "workspaces:\n- id: shop\n  pepper: {value: salt}\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "some.yaml"
    path.write_text(content("shop"))
    return path


def rewrite(path: Path, text: str) -> None:
    """As an editor does: another file under the same name."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.rename(path)


def test_a_changed_file_is_taken(path: Path) -> None:
    file = WorkspacesFile(path)
    rewrite(path, content("shop", "blog"))
    assert file.reload_if_changed()
    assert file.get("blog").id == "blog"


def test_since_when_books_are_closed_is_known(path: Path) -> None:
    started = SystemClock().unix_micros()
    closed = "{}  reporting: {{books_closed_through: 2026-{}}}\n"
    rewrite(path, closed.format(GOOD, "09-30"))
    os.utime(path, (0, 0))  # a copy that kept its time
    file = WorkspacesFile(path)
    since = file.closed_since_micros("shop")
    assert since > started - 1_000_000  # the clock of files ticks more coarsely
    rewrite(path, closed.format(GOOD, "09-30") + "- id: blog\n  pepper: {value: salt}\n")
    assert file.reload_if_changed()
    assert file.closed_since_micros("shop") == since
    before = SystemClock().unix_micros()
    rewrite(path, closed.format(GOOD, "10-31"))
    os.utime(path, (0, 0))
    assert file.reload_if_changed()
    assert file.closed_since_micros("shop") >= before


def test_an_unchanged_file_is_not_read_again(path: Path) -> None:
    file = WorkspacesFile(path)
    before = file.current
    assert not file.reload_if_changed()
    assert file.current is before


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("workspaces: [", id="no YAML"),
        pytest.param("workspaces:\n- id: shop\n", id="no pepper"),
        pytest.param("", id="empty"),
        pytest.param("workspaces: []\n", id="no workspaces any more"),
        pytest.param(f"{GOOD}  reporting: {{books_closed_through: 2026-09-31}}\n", id="a day that never was"),
        pytest.param(f"{GOOD}  reporting: {{books_closed_through: 2299-12-31}}\n", id="no day after it can be stored"),
        pytest.param(f"{GOOD}  reporting: {{books_closed_through: 9999-12-31}}\n", id="there is no day after it"),
        pytest.param(f"{GOOD}  attribution: [{{effective_from: 2026-07-01T25:00:00}}]\n", id="an hour that never was"),
        pytest.param(f"{GOOD}  name: !!int abc\n", id="no number"),
        pytest.param(f"{GOOD}  name: !!float abc\n", id="no fraction"),
        pytest.param(f"{GOOD}  name: !!binary 'x'\n", id="no bytes"),
        pytest.param(f"{GOOD}  accept: {{event_days: .inf}}\n", id="for ever"),
        pytest.param(f"{GOOD}  accept: {{event_days: {'9' * 5000}}}\n", id="a number too long to be read"),
        pytest.param("workspaces: " + "[" * 3000 + "]" * 3000, id="nested too deeply"),
        pytest.param("workspaces: " + "[" * 120 + "]" * 120, id="nested deeply"),
        pytest.param("{[a]: b}\n", id="a list for a key"),
        pytest.param(f'{GOOD}  name: "shop\\0"\n', id="a zero in a text"),
        pytest.param(f'{GOOD}  name: "shop\\ud83d"\n', id="half of a surrogate pair"),
        pytest.param(f'{GOOD}  coupons: {{"a\\e": b}}\n', id="a control character in a key"),
    ],
)
def test_a_bad_change_keeps_the_old_workspaces_and_says_so(path: Path, text: str, log_lines: LogLines) -> None:
    file = WorkspacesFile(path)
    rewrite(path, text)
    assert not file.reload_if_changed()
    assert file.get("shop").id == "shop"
    assert [line["event"] for line in log_lines if line["log_level"] == "error"] == ["workspaces_reload_refused"]


def test_a_value_that_cannot_be_is_refused_with_its_line(path: Path) -> None:
    path.write_text(f"{GOOD}  reporting: {{books_closed_through: 2026-09-31}}\n")
    with pytest.raises(InvalidWorkspacesError, match=r"line 4, column \d+: is no timestamp"):
        parse_workspaces(path)


def test_a_new_installation_may_have_no_workspaces_yet(path: Path) -> None:
    path.write_text("workspaces: []\n")
    file = WorkspacesFile(path)
    rewrite(path, content("shop"))
    assert file.reload_if_changed()
    assert file.get("shop").id == "shop"


def test_a_bad_change_is_reported_once_and_its_repair_is_taken(path: Path, log_lines: LogLines) -> None:
    file = WorkspacesFile(path)
    rewrite(path, "workspaces: [")
    file.reload_if_changed()
    file.reload_if_changed()
    assert len(log_lines) == 1
    rewrite(path, content("blog"))
    assert file.reload_if_changed()


def test_a_vanished_file_keeps_the_old_workspaces(path: Path) -> None:
    file = WorkspacesFile(path)
    path.unlink()
    assert not file.reload_if_changed()
    assert file.get("shop").id == "shop"


def test_a_swapped_link_is_a_change(path: Path, tmp_path: Path) -> None:
    """As Kubernetes updates a mounted Secret."""
    link = tmp_path / "link.yaml"
    link.symlink_to(path)
    file = WorkspacesFile(link)
    other = tmp_path / "other.yaml"
    other.write_text(content("blog"))
    swap = tmp_path / "swap"
    swap.symlink_to(other)
    swap.rename(link)
    assert file.reload_if_changed()
    assert file.find("blog") is not None
    assert file.find("shop") is None


def test_a_changed_secret_is_a_change(tmp_path: Path) -> None:
    secret = tmp_path / "data_key"
    secret.write_text("1" * 43 + "=")
    path = tmp_path / "some.yaml"
    path.write_text(f"{GOOD}  data_key: {{file: {secret}}}\n")
    file = WorkspacesFile(path)
    before = file.wrapping_keys("shop")
    secret.write_text("0" * 43 + "=")
    assert file.reload_if_changed()
    assert file.wrapping_keys("shop") != before


def test_another_pepper_is_a_mistake_and_the_old_one_stays(tmp_path: Path, log_lines: LogLines) -> None:
    secret, path = tmp_path / "pepper", tmp_path / "some.yaml"
    secret.write_text("old")
    path.write_text(content("shop", pepper={"file": str(secret)}))
    file = WorkspacesFile(path)
    secret.write_text("another")
    assert not file.reload_if_changed()
    assert file.get("shop").pepper.reveal() == "old"
    (refused,) = [line for line in log_lines if line["event"] == "workspaces_reload_refused"]
    assert "shop has another pepper" in str(refused["problems"])
    assert "old" not in str(refused["problems"])
    path.write_text(content("blog", pepper={"value": "of its own"}) + content("shop", pepper={"value": "old"})[12:])
    assert file.reload_if_changed(), "other workspaces may have any"


def test_a_bad_file_stops_the_start_with_all_problems(path: Path) -> None:
    path.write_text("workspaces:\n- {id: UPPER, name: 3}\n")
    with pytest.raises(InvalidWorkspacesError) as refusal:
        WorkspacesFile(path)
    assert len(refusal.value.problems) == 3


def test_a_key_that_is_there_twice_is_refused_with_its_line(path: Path) -> None:
    path.write_text("workspaces:\n- id: shop\n  id: blog\n  pepper: {value: salt}\n")
    with pytest.raises(InvalidWorkspacesError, match=r"line 3.*the key 'id' is there twice"):
        parse_workspaces(path)


def test_a_file_can_be_checked_away_from_its_secrets(path: Path) -> None:
    path.write_text(content("shop", pepper={"env": "NOT_SET_ANYWHERE"}))
    (shop,) = parse_workspaces(path, resolve_secrets=False).workspaces
    with pytest.raises(ValueError, match="without its secrets"):
        shop.pepper.reveal()


def test_an_unknown_workspace_is_not_found(path: Path) -> None:
    with pytest.raises(NotFoundError) as refusal:
        WorkspacesFile(path).get("nobody")
    assert refusal.value.resource_name == "nobody"


async def test_the_loop_takes_a_change_and_ends_when_stopped(path: Path) -> None:
    file = WorkspacesFile(path, poll_seconds=0.01)
    stop = asyncio.Event()
    running = asyncio.create_task(file.run(stop))
    rewrite(path, content("blog"))
    await eventually_async(lambda: file.find("blog") is not None)
    stop.set()
    await running


def test_a_secret_in_the_environment_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_PEPPER", "pepper of the environment")
    path.write_text(content("shop", pepper={"env": "SOME_PEPPER"}))
    os.utime(path)
    assert WorkspacesFile(path).get("shop").pepper.reveal() == "pepper of the environment"
