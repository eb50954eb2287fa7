"""An unknown workspace is looked for once more, and waited for no longer than the grace."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tributary_runtime.clock import SystemClock
from tributary_runtime.workspace_lookup import WorkspaceLookup
from tributary_runtime.workspaces_file import WorkspacesFile


def write(path: Path, *ids: str) -> Path:
    declared = [{"id": one, "pepper": {"value": "a pepper"}} for one in ids]
    path.write_text(yaml.safe_dump({"workspaces": declared}), encoding="utf-8")
    return path


async def test_a_workspace_that_is_new_in_the_file_is_found_at_once(tmp_path: Path) -> None:
    path = write(tmp_path / "workspaces.yaml", "shop")
    lookup = WorkspaceLookup(WorkspacesFile.load(path, poll_seconds=3600), SystemClock(), 120)
    assert (await lookup.find(["shop", "new"])).keys() == {"shop"}
    write(path, "shop", "new")
    assert (await lookup.find(["shop", "new"])).keys() == {"shop", "new"}


async def test_a_file_that_cannot_be_read_leaves_the_workspaces_as_they_were(tmp_path: Path) -> None:
    path = write(tmp_path / "workspaces.yaml", "shop")
    lookup = WorkspaceLookup(WorkspacesFile.load(path), SystemClock(), 120)
    path.write_text("workspaces: nonsense", encoding="utf-8")
    assert (await lookup.find(["shop", "new"])).keys() == {"shop"}


@pytest.mark.parametrize(
    ("grace_seconds", "waits"), [pytest.param(120, True, id="within"), pytest.param(0, False, id="after")]
)
async def test_an_entry_waits_for_the_grace_and_no_longer(tmp_path: Path, grace_seconds: int, waits: bool) -> None:
    file = WorkspacesFile.load(write(tmp_path / "workspaces.yaml", "shop"))
    lookup = WorkspaceLookup(file, SystemClock(), grace_seconds)
    await lookup.find(["new"])
    assert lookup.waits(SystemClock().unix_micros() - 1_000_000, ["new"]) is waits


class Later(SystemClock):
    """The system's clock, some seconds ahead."""

    ahead_seconds = 0

    def unix_micros(self) -> int:
        return super().unix_micros() + self.ahead_seconds * 1_000_000


async def test_an_old_entry_waits_from_when_its_workspace_is_missed_first(tmp_path: Path) -> None:
    clock, path = Later(), write(tmp_path / "workspaces.yaml", "shop")
    lookup = WorkspaceLookup(WorkspacesFile.load(path), clock, 120)
    accepted = clock.unix_micros() - 3600 * 1_000_000  # in the log since before an outage
    await lookup.find(["gone"])
    assert lookup.waits(accepted, ["gone"])
    clock.ahead_seconds = 119
    await lookup.find(["gone"])
    assert lookup.waits(accepted, ["gone"])
    clock.ahead_seconds = 121
    assert not lookup.waits(accepted, ["gone"])
    write(path, "shop", "gone")
    await lookup.find(["gone"])
    write(path, "shop")
    clock.ahead_seconds = 200
    await lookup.find(["gone"])
    assert lookup.waits(accepted, ["gone"]), "missed anew"
