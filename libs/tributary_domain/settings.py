"""How a workspace wants its conversions credited: immutable, versioned by content, chosen by conversion time.

Changing a setting never rewrites the past by accident: a conversion is credited under the settings that were effective
when it happened, and every revision names their version.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from tributary_domain.channel_groups import DIRECT as DIRECT_CHANNEL
from tributary_domain.journey import DIRECT, PASSED_OVER

SECOND: Final = 1_000_000
"""Microseconds."""
HOUR: Final = 3600 * SECOND
"""Microseconds."""
DAY: Final = 24 * HOUR
"""Microseconds."""


class AttributionModel(StrEnum):
    """A rule that shares one conversion among its touches."""

    FIRST_TOUCH = "first_touch"
    """All to the oldest touch."""
    LAST_TOUCH = "last_touch"
    """All to the newest touch."""
    LAST_NON_DIRECT = "last_non_direct"
    """All to the newest touch whose channel is not passed over (`direct_channels`); to the newest if all are."""
    LINEAR = "linear"
    """The same to each touch."""
    POSITION_BASED = "position_based"
    """Set shares to the oldest and the newest touch, the rest equally to those between."""
    TIME_DECAY = "time_decay"
    """Half as much per half life of age."""
    DATA_DRIVEN = "data_driven"
    """As much as removing the touch's channel would lose, in a model of the workspace's own paths."""


MODELS: Final = tuple(model for model in AttributionModel if model is not AttributionModel.DATA_DRIVEN)
"""What is computed of every conversion, and the order of every per-model tuple; data_driven, where it has a model, is
the last beside these."""

EVERY_MODEL: Final = (*MODELS, AttributionModel.DATA_DRIVEN)
"""The order of every per-model tuple, whose last entry is there where data_driven had a model."""

_LATE_TOUCH_SECONDS: Final = 2
_EVENT_CAP: Final = 2_000


class TouchGrain(StrEnum):
    """What one touch is."""

    INTERACTION = "interaction"
    """Events of one interaction fold into one touch."""
    EVENT = "event"
    """Every event is a touch."""


class ImpressionPolicy(StrEnum):
    """Whether what was seen and not clicked may earn credit: an ad, an engaged view, an opened message."""

    IGNORE = "ignore"
    """Never."""
    ONLY_WITHOUT_CLICK = "only_without_click"
    """Where the window holds no touch but such and direct visits."""
    FULL = "full"
    """Beside the others, inside the view window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributionSettings:
    """The attribution settings of a workspace, from a moment on.

    Raises:
        ValueError: A number is outside its range, or position weights leave some path without any weight.
    """

    effective_from_micros: int = 0
    """Conversions from this moment on are credited under these settings (until the next ones)."""
    lookback_days: int = 30
    """How far before the conversion a touch may lie; both ends of the window are inside."""
    model_lookback_days: tuple[tuple[AttributionModel, int], ...] = ()
    """Models that look back another number of days."""
    half_life_hours: int = 168
    """Of time_decay."""
    position_weights: tuple[int, int, int] = (40, 20, 40)
    """Oldest touch, all between together, newest touch. With two touches the outer two share alone: a/(a+c)."""
    touch_grain: TouchGrain = TouchGrain.INTERACTION
    session_timeout_seconds: int = 1800
    """A gap of exactly this length starts a new session."""
    impression_policy: ImpressionPolicy = ImpressionPolicy.IGNORE
    view_window_seconds: int = 86_400
    """How far before the conversion an impression may lie."""
    impression_cap: int = 20
    """The newest impressions that can earn credit; they never push out a click."""
    late_touch_seconds: int = _LATE_TOUCH_SECONDS
    """A touch of the same session up to this much after its conversion counts as before it: the browser's and the
    backend's clock, and the order in which they send, are not that exact."""
    direct_channels: frozenset[str] = frozenset({DIRECT_CHANNEL})
    """Channels that last_non_direct passes over; nothing else depends on them. Of a channel but Direct the worker flags
    the touches (`journey.with_passed_over`)."""
    collapse_repeats: bool = False
    """Whether consecutive touches of one source count as the first of them: of one `JourneyTouch.descriptor`, which
    stands for all that is known of where they came from, down to the ad."""
    path_reset_names: frozenset[str] = frozenset()
    """Conversion names that end a path: touches up to such a conversion, unless it was taken back, earn nothing from
    later ones."""
    touch_cap: int = 500
    """The most touches that share one conversion."""
    touch_cap_first: int = 50
    """Of these, how many are the oldest of the window; the others are its newest."""
    event_cap: int = _EVENT_CAP
    """The newest events before a conversion that are looked at, at least `touch_cap`: it bounds what one conversion
    costs and what must be kept of a person. What was only seen takes no place, nor does what is quarantined."""
    version: str = ""
    """Names this content on every revision; made from the content when empty."""
    windows: tuple[tuple[int, tuple[int, ...]], ...] = field(init=False, repr=False, compare=False)
    """Derived: (lookback in microseconds, indexes into `MODELS`), the longest lookback first."""
    passed_over: int = field(init=False, repr=False, compare=False)
    """Derived: flags of the touches that last_non_direct passes over."""

    def __post_init__(self) -> None:
        """Checks ranges and derives `windows` and `version`."""
        lookbacks = dict(self.model_lookback_days)
        if min(self.lookback_days, self.half_life_hours, self.session_timeout_seconds, *lookbacks.values()) < 1:
            message = "Lookback, half life and session timeout must be at least 1."
            raise ValueError(message)
        if min(self.position_weights) < 0 or sum(self.position_weights) == 0:
            message = "Position weights must not be negative, and not all zero."
            raise ValueError(message)
        if not 1 <= self.touch_cap_first < self.touch_cap or self.impression_cap < 0 or self.view_window_seconds < 0:
            message = "Caps and the view window must be positive, and touch_cap_first below touch_cap."
            raise ValueError(message)
        if self.event_cap < self.touch_cap:
            message = "event_cap must not be below touch_cap."
            raise ValueError(message)
        if self.late_touch_seconds < 0:
            message = "late_touch_seconds must not be negative."
            raise ValueError(message)
        groups: dict[int, list[int]] = {}
        for index, model in enumerate(MODELS):
            groups.setdefault(lookbacks.get(model, self.lookback_days) * DAY, []).append(index)
        windows = tuple((lookback, tuple(groups[lookback])) for lookback in sorted(groups, reverse=True))
        object.__setattr__(self, "windows", windows)
        is_direct_passed_over = DIRECT_CHANNEL in self.direct_channels
        object.__setattr__(self, "passed_over", PASSED_OVER | DIRECT if is_direct_passed_over else PASSED_OVER)
        if not self.version:
            object.__setattr__(self, "version", self._content_version())

    @property
    def history_micros(self) -> int:
        """How far before a conversion its journey must be complete for an exact answer.

        The longest lookback, and a day more: a session that began before the window decides what its later events are.
        So does a click id, however long before: of older events those that carry one are looked at too.
        """
        return max(self.windows[0][0], self.path_lookback_days * DAY) + DAY

    @property
    def path_lookback_days(self) -> int:
        """How far data_driven looks back."""
        return dict(self.model_lookback_days).get(AttributionModel.DATA_DRIVEN, self.lookback_days)

    def _content_version(self) -> str:
        content = (
            sorted((lookback // DAY, models) for lookback, models in self.windows),
            self.half_life_hours,
            self.position_weights,
            self.touch_grain.value,
            self.session_timeout_seconds,
            self.impression_policy.value,
            self.view_window_seconds,
            self.impression_cap,
            sorted(self.direct_channels),
            self.collapse_repeats,
            sorted(self.path_reset_names),
            self.touch_cap,
            self.touch_cap_first,
            # Only where it differs, so that what was stored before it could be set keeps its name.
            *([self.late_touch_seconds] if self.late_touch_seconds != _LATE_TOUCH_SECONDS else []),
            *([("event_cap", self.event_cap)] if self.event_cap != _EVENT_CAP else []),
            *([("path", self.path_lookback_days)] if self.path_lookback_days != self.lookback_days else []),
        )
        return "s1:" + hashlib.blake2b(repr(content).encode(), digest_size=8).hexdigest()


def settings_at(history: Sequence[AttributionSettings], conversion_time_micros: int) -> AttributionSettings:
    """Returns the settings a conversion is credited under.

    Args:
        history: At least one, in any order; of two with the same `effective_from_micros` the later in the list wins.
        conversion_time_micros: When the conversion happened, not when it was learned.

    Returns:
        The newest that was effective then; the oldest for a conversion before all of them.
    """
    ordered = sorted(history, key=lambda settings: settings.effective_from_micros)
    chosen = ordered[0]
    for settings in ordered:
        if settings.effective_from_micros <= conversion_time_micros:
            chosen = settings
    return chosen
