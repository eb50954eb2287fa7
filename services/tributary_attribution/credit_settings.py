"""A workspace's declared settings -> what the core credits under, and how long state must live for it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from tributary_domain.settings import SECOND, AttributionSettings, ImpressionPolicy
from tributary_runtime import attribution_settings as declared
from tributary_runtime.workspaces import Workspace

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_SECONDS: Final = 86_400
_EVENT_CAP: Final = AttributionSettings().event_cap


def settings_for(workspace: Workspace, conversion_time_micros: int) -> AttributionSettings:
    """Returns the settings that a conversion is credited under: those that were effective when it happened."""
    return core_settings(declared_for(workspace, conversion_time_micros))


def declared_for(workspace: Workspace, conversion_time_micros: int) -> declared.AttributionSettings:
    """Returns the same as the workspace declares them."""
    return workspace.attribution_at(_EPOCH + timedelta(microseconds=conversion_time_micros))


def core_settings(settings: declared.AttributionSettings) -> AttributionSettings:
    """Returns declared settings in the core's words, under the same version."""
    return _core_settings(settings.version, _Declared(settings))


class _Declared:
    """Hides settings from a cache's key: their version says all."""

    __slots__ = ("settings",)

    def __init__(self, settings: declared.AttributionSettings) -> None:
        self.settings = settings

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Declared)

    def __hash__(self) -> int:
        return 0


@lru_cache(maxsize=1024)
def _core_settings(version: str, wrapped: _Declared) -> AttributionSettings:
    settings = wrapped.settings
    lookbacks = tuple(
        (model, own.lookback_days) for model, own in settings.models.items() if own.lookback_days is not None
    )
    first, middle, last = settings.position_weights
    return AttributionSettings(
        lookback_days=settings.lookback_days,
        model_lookback_days=lookbacks,
        half_life_hours=settings.half_life_hours,
        position_weights=(first, middle, last),
        touch_grain=settings.touch_grain,
        session_timeout_seconds=settings.session_timeout_minutes * 60,
        impression_policy=settings.impression_policy,
        view_window_seconds=settings.impression_window_days * _DAY_SECONDS,
        impression_cap=settings.impression_cap,
        late_touch_seconds=settings.late_touch_seconds,
        direct_channels=frozenset(settings.direct_channels),
        collapse_repeats=settings.collapse_repeats,
        path_reset_names=settings.resets_after,
        touch_cap=settings.touch_cap,
        touch_cap_first=min(settings.touch_cap_first, settings.touch_cap - 1),
        event_cap=max(_EVENT_CAP, settings.touch_cap),
        version=version,
    )


def history_micros(workspace: Workspace) -> int:
    """Returns how far before a conversion a touch may change its credit, under any of the workspace's settings."""
    return max(core_settings(settings).history_micros for settings in workspace.attribution)


def slack_micros(workspace: Workspace) -> int:
    """Returns how long after a conversion a touch may still change its credit, under any of its settings."""
    return SECOND * max(settings.late_touch_seconds for settings in workspace.attribution)


def journey_life_seconds(workspaces: Iterable[Workspace]) -> int:
    """Returns how long a journey lives after its last event: lookback, accept window and a day, or less on purpose.

    Whatever reaches further back is recalled from what was recorded.
    """
    return _DAY_SECONDS * max((_journey_days(workspace) for workspace in workspaces), default=60)


def conversion_life_seconds(workspaces: Iterable[Workspace]) -> int:
    """Returns how long a conversion must live after its last event: likewise, with the window of orders and refunds."""
    return _DAY_SECONDS * max(
        (_lookback_days(workspace) + workspace.accept.order_days + 1 for workspace in workspaces), default=430
    )


def ties_seconds(workspaces: Iterable[Workspace]) -> int:
    """Returns how long it must be known who was seen with whom: as long as a conversion, of which it may be asked."""
    return conversion_life_seconds(workspaces)


def counts_seen(workspace: Workspace) -> bool:
    """Tells whether impressions, engaged views and opens may earn anything, under any of the workspace's settings."""
    return any(settings.impression_policy is not ImpressionPolicy.IGNORE for settings in workspace.attribution)


def journey_events(workspaces: Iterable[Workspace]) -> int:
    """Returns how many events of a person are kept at least: what a conversion looks at, and as many that are newer.

    So a conversion that arrives late by that many events of its person is credited exactly all the same.
    """
    return 2 * max(
        (core_settings(settings).event_cap for workspace in workspaces for settings in workspace.attribution),
        default=_EVENT_CAP,
    )


def _journey_days(workspace: Workspace) -> int:
    whole = _lookback_days(workspace) + workspace.accept.event_days + 1
    return min(workspace.retention.journey_days or whole, whole)


def _lookback_days(workspace: Workspace) -> int:
    return max(settings.longest_lookback_days for settings in workspace.attribution)
