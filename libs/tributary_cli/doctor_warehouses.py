"""What `tributary doctor` says of warehouses: how far each export is, and what holds it up."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tributary_cli.doctor_checks import Check
from tributary_runtime.clock import Clock, SystemClock
from tributary_runtime.errors import TributaryError
from tributary_runtime.warehouse_destinations import WarehouseDestination
from tributary_runtime.workspaces_file import InvalidWorkspacesError, parse_workspaces
from tributary_storage.redis.client import connect
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.destination_states import DestinationState, DestinationStates
from tributary_storage.redis.warehouse_progress import WarehousePlace, WarehouseProgress

_TIMEOUT_SECONDS: Final = 5.0
_PATIENCE_SECONDS: Final = 600
"""How much longer than its interval an export may take before it is said to be late."""


async def check_warehouses(workspaces_file: Path, jobs_url: str) -> list[Check]:
    """Says of each warehouse of each workspace how far its export is; nothing where file or Redis cannot be read."""
    try:
        workspaces = parse_workspaces(workspaces_file, resolve_secrets=False).workspaces
    except InvalidWorkspacesError:
        return []
    found = [
        (Lane(workspace.id, destination.id), destination)
        for workspace in workspaces
        for destination in workspace.destinations
        if isinstance(destination, WarehouseDestination)
    ]
    if not found:
        return []
    try:
        async with connect(jobs_url, name="doctor", timeout_seconds=_TIMEOUT_SECONDS, connections=1) as client:
            states, progress = DestinationStates(client), WarehouseProgress(client)
            return [
                warehouse_check(lane, settings, await states.read(lane), await progress.read(lane), SystemClock())
                for lane, settings in found
            ]
    except (TributaryError, ValueError):  # the check of the role says it
        return []


def warehouse_check(
    lane: Lane, settings: WarehouseDestination, state: DestinationState, place: WarehousePlace, clock: Clock
) -> Check:
    """Says how far one export is."""
    name, now_micros = f"warehouse:{lane.workspace}/{lane.destination}", clock.unix_micros()
    said = f"{place.waiting:,} revisions wait, last batch {place.batch_id or 'none'}"
    resume = f"`tributary deliveries resume {lane.destination}`"
    if settings.paused:
        return Check(name, True, f"paused in workspaces.yaml; {said}")
    if state.held_reason is not None:
        return Check(name, False, f"paused by an operator; {said}", f"{resume} ends it.")
    if state.paused_until_millis * 1000 > now_micros:
        return Check(name, False, said, state.pause_reason)
    patience_micros = (settings.interval_seconds + _PATIENCE_SECONDS) * 1_000_000
    if now_micros - place.look_micros > patience_micros:
        return Check(name, False, f"nobody exports; {said}", "See that delivery runs, and its log (lane_paused).")
    if place.waiting and now_micros - place.oldest_micros > patience_micros:
        late = f"{(now_micros - place.oldest_micros) // 60_000_000:,} minutes late; {said}"
        return Check(
            name, False, late, "See delivery's log (warehouse_file_not_written): the bucket does not take files."
        )
    return Check(name, True, said)
