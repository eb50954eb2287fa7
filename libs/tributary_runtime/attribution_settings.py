"""How a workspace's credit is computed, as `workspaces.yaml` declares it.

The one rule: settings are chosen by conversion time and named by a hash of what they say (SEMANTICS section 10): a
revision can name the settings it was computed under, and the same meaning always has the same name. What is hashed is
only what differs from the defaults, so that a later release can add a setting without renaming the old ones. A default
therefore never changes: a test holds them. Where what a setting means had to change, the edition of its rule is hashed
with it: what was credited under the old meaning names the same text by its former name, and is known by that still.
"""

import hashlib
import json
from datetime import datetime
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, Field, field_validator, model_validator

from tributary_domain.renewals import RenewalCredit
from tributary_domain.settings import AttributionModel, ImpressionPolicy, TouchGrain
from tributary_runtime.declared import Declared, Name

_EDITIONS = {"direct_channels": 2}
"""Of settings whose meaning changed once: Direct was passed over whatever `direct_channels` listed, and visits of the
other channels on it were folded into their sessions like direct ones."""
VERSION_PREFIX = "a1:"
"""Of a settings version; the digit changes if what is hashed, or how, ever changes."""


class ModelSettings(Declared):
    """What differs for one model."""

    lookback_days: Annotated[int, Field(ge=1, le=3650)] | None = None
    """Days before the conversion in which a touch may earn credit; unset: as for all models."""


class ResetPath(Declared):
    """A person's path starts anew after certain conversions."""

    reset: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Names of the conversions after which earlier touches earn nothing for later conversions."""

    @field_validator("reset")
    @classmethod
    def _sort(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(set(value)))


class AttributionSettings(Declared):
    """How credit is computed for conversions from `effective_from` on, until the next entry."""

    effective_from: AwareDatetime | None = None
    """First conversion time these settings apply to, with its zone (2026-01-01T00:00:00Z). Unset: since ever."""

    lookback_days: Annotated[int, Field(ge=1, le=3650)] = 30
    """Days before the conversion, both ends included, in which a touch may earn credit."""

    models: dict[AttributionModel, ModelSettings] = Field(default_factory=dict)
    """What differs per model, e.g. a lookback of 365 days for first_touch."""

    primary_model: AttributionModel = AttributionModel.LAST_NON_DIRECT
    """The model reports show unless another is asked for."""

    half_life_hours: Annotated[int, Field(ge=1, le=87_600)] = 168
    """time_decay: a touch this long before the conversion weighs half."""

    position_weights: tuple[Annotated[int, Field(ge=0, le=1000)], ...] = Field(
        default=(40, 20, 40), min_length=3, max_length=3
    )
    """position_based: weights of the first touch, of all in between together, and of the last; their sum is not 0."""

    touch_grain: TouchGrain = TouchGrain.INTERACTION
    """interaction | event: what counts as one touch."""

    session_timeout_minutes: Annotated[int, Field(ge=1, le=1440)] = 30
    """Inactivity after which a new session starts; a gap of exactly this long starts one."""

    impression_policy: ImpressionPolicy = ImpressionPolicy.IGNORE
    """ignore | only_without_click | full: whether what was only seen (an ad, an engaged view, an opened message) earns
    credit."""

    impression_window_days: Annotated[int, Field(ge=1, le=90)] = 1
    """Days before the conversion in which an impression may earn credit."""

    impression_cap: Annotated[int, Field(ge=0, le=500)] = 50
    """Impressions of a window considered at most, newest first; they never push clicks out."""

    touch_cap: Annotated[int, Field(ge=2, le=10_000)] = 500
    """Touches of a window considered at most: the first ones and the last ones."""

    touch_cap_first: Annotated[int, Field(ge=1, le=9_999)] = 50
    """How many of these are first ones, as far as `touch_cap` leaves room for one last touch."""

    late_touch_seconds: Annotated[int, Field(ge=0, le=60)] = 2
    """A touch up to this long after its conversion, in the same session, counts as before it."""

    direct_channels: tuple[Name, ...] = ("Direct",)
    """Channels that last_non_direct passes over; [] for none, not even Direct. No other model looks at it."""

    collapse_repeats: bool = False
    """Whether consecutive touches of one source count as the first of them: alike in all that is known of where they
    came from, from the channel down to campaign, keyword and ad. Another campaign is another source."""

    path_after_conversion: Literal["continue"] | ResetPath = "continue"
    """continue | {reset: [names]}: whether touches before one conversion may earn credit for the next."""

    renewal_credit: RenewalCredit = RenewalCredit.FIRST_PAYMENT
    """first_payment | own_path: whose credit a subscription's renewal gets: that of the first paid conversion, whatever
    touches came between, or what its own journey gives."""

    @field_validator("direct_channels")
    @classmethod
    def _sort(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(set(value)))

    @model_validator(mode="after")
    def _check(self) -> Self:
        if sum(self.position_weights) == 0:
            raise ValueError("position_weights must not all be 0")
        return self

    @cached_property
    def version(self) -> str:
        """The name of these settings: a hash of what they say, whatever their date or the order of their keys."""
        differing = self._differing()
        if editions := {name: edition for name, edition in _EDITIONS.items() if name in differing}:
            differing["editions"] = editions
        return _name_of(differing)

    @cached_property
    def names(self) -> frozenset[str]:
        """`version`, and the name of the same text from before the meaning of one of its settings changed."""
        return frozenset({self.version, _name_of(self._differing())})

    def _differing(self) -> dict[str, Any]:
        """Returns what differs from the defaults, but the date."""
        differing = self.model_dump(mode="json", exclude_defaults=True, exclude={"effective_from", "models"})
        models = {
            str(model): own.lookback_days
            for model, own in self.models.items()
            if own.lookback_days not in (None, self.lookback_days)
        }
        if models:
            differing["models"] = models
        return differing

    @cached_property
    def content(self) -> str:
        """All settings but their date, as JSON with sorted keys; kept beside the version for who looks it up."""
        return _canonical(self.model_dump(mode="json", exclude={"effective_from"}))

    def lookback_days_of(self, model: AttributionModel) -> int:
        """Returns the lookback of one model."""
        own = self.models.get(model)
        return self.lookback_days if own is None or own.lookback_days is None else own.lookback_days

    @cached_property
    def longest_lookback_days(self) -> int:
        """The longest lookback of any model: how far back a conversion may have to look."""
        return max(self.lookback_days_of(model) for model in AttributionModel)

    @cached_property
    def resets_after(self) -> frozenset[str]:
        """Conversion names after which a path starts anew; empty: paths continue."""
        rule = self.path_after_conversion
        return frozenset(rule.reset) if isinstance(rule, ResetPath) else frozenset()


def _name_of(differing: dict[str, Any]) -> str:
    return VERSION_PREFIX + hashlib.blake2b(_canonical(differing).encode(), digest_size=12).hexdigest()


def _canonical(content: dict[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def settings_at(history: tuple[AttributionSettings, ...], conversion_time: datetime) -> AttributionSettings:
    """Chooses the settings of a conversion: the newest that are effective at its time, else the oldest.

    Args:
        history: Oldest first, at least one.
        conversion_time: Aware.
    """
    chosen = history[0]
    for settings in history[1:]:
        if settings.effective_from is not None and settings.effective_from <= conversion_time:
            chosen = settings
    return chosen
