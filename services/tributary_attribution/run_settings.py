"""Under which settings a run of reconciliation compares: those that conversions were credited under, as in the stream.

The one rule: every conversion is compared under one of them, and once. What was never credited, or under settings whose
text nobody has any more, is compared under those that are effective at its time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from tributary_attribution.credit_settings import core_settings
from tributary_attribution.settings_history import Versions, find_settings
from tributary_domain.settings import AttributionSettings
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse.reconciliation_comparison import ComparedSettings

_NO_VERSION: Final = "none"
"""No version of any settings, and not that of a conversion that is not stored, which is empty."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


async def pinned_settings(
    versions: Versions, workspace: Workspace, pinned: Collection[str]
) -> dict[str, AttributionSettings]:
    """Returns the settings by the versions that are stored, of those whose text is known.

    By the version that they have by now too, where that is another: what the run repairs is stored under it.

    Raises:
        StorageUnavailableError: It cannot be told now.
    """
    found = {version: await find_settings(versions, workspace, version) for version in sorted(pinned)}
    known = {version: core_settings(settings) for version, settings in found.items() if settings is not None}
    return known | {settings.version: settings for settings in known.values()}


def compared_settings(
    workspace: Workspace, pinned: Mapping[str, AttributionSettings], begin: int, end: int
) -> list[ComparedSettings]:
    """Returns what conversions of some time are compared under, one after the other.

    Args:
        workspace: Whose.
        pinned: What those that are stored were credited under, by the version that they name.
        begin: First moment of the time, microseconds.
        end: First moment after it.
    """
    history = workspace.attribution
    starts = [begin, *(_micros(settings.effective_from) for settings in history[1:]), end]
    held = [
        (core_settings(settings), max(begin, starts[at]), min(end, starts[at + 1]))
        for at, settings in enumerate(history)
        if max(begin, starts[at]) < min(end, starts[at + 1])
    ]
    known = {settings.version: settings for settings in pinned.values()}
    stored: dict[str, list[str]] = {}
    for version, settings in sorted(pinned.items()):
        stored.setdefault(settings.version, []).append(version)
    versions = tuple(sorted(pinned)) or (_NO_VERSION,)
    passes = []
    for settings, first, last in held:
        own = tuple(stored.pop(settings.version, ())) or (_NO_VERSION,)
        passes.append(ComparedSettings(settings, own, first, last, versions))
    return passes + [ComparedSettings(known[name], tuple(own), 0, 0, versions) for name, own in stored.items()]


def _micros(time: datetime | None) -> int:
    return 0 if time is None else (time - _EPOCH) // timedelta(microseconds=1)
