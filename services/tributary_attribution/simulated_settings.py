"""Settings that somebody wants to try -> settings as `workspaces.yaml` could say them, checked by the same rules."""

from __future__ import annotations

from typing import Any, Final

from pydantic import ValidationError

from tributary.attribution.v1.explanation_pb2 import CreditSettings
from tributary_runtime.attribution_settings import AttributionSettings
from tributary_runtime.errors import FieldViolation, InvalidRequestError

_NUMBERS: Final = (
    *("lookback_days", "half_life_hours", "session_timeout_minutes", "impression_window_days", "impression_cap"),
    *("touch_cap", "touch_cap_first", "late_touch_seconds", "collapse_repeats"),
)
_WORDS: Final = ("touch_grain", "impression_policy")
_LISTS: Final = ("position_weights", "direct_channels")
_FIELDS: Final = {"models": "model_lookback_days", "path_after_conversion": "path_reset_names"}
"""Where a setting has another name in a request."""
_EMPTIED: Final = {"direct_channels": "no_direct_channels", "path_reset_names": "path_continues"}
"""Lists of which none is another thing than nothing said -> what says so."""


def simulated(settings: AttributionSettings, asked: CreditSettings) -> AttributionSettings:
    """Returns settings with what differs.

    Args:
        settings: As declared.
        asked: What differs; what is not said stays.

    Raises:
        InvalidRequestError: No file could say this; with the fields.
    """
    both = [emptied for name, emptied in _EMPTIED.items() if getattr(asked, name) and getattr(asked, emptied)]
    if both:
        violations = [FieldViolation(f"settings.{name}", "Not beside the list that it says is empty.") for name in both]
        raise InvalidRequestError("There are no such settings.", violations)
    said = settings.model_dump(mode="json", exclude={"effective_from"})
    said |= {name: getattr(asked, name) for name in _NUMBERS if asked.HasField(name)}
    said |= {name: getattr(asked, name) for name in _WORDS if getattr(asked, name)}
    said |= {name: list(getattr(asked, name)) for name in _LISTS if getattr(asked, name)}
    if asked.model_lookback_days:
        said["models"] = said["models"] | {
            name: {"lookback_days": days or None} for name, days in asked.model_lookback_days.items()
        }
    if asked.no_direct_channels:
        said["direct_channels"] = []
    if asked.path_continues:
        said["path_after_conversion"] = "continue"
    if asked.path_reset_names:
        said["path_after_conversion"] = {"reset": list(asked.path_reset_names)}
    try:
        return AttributionSettings.model_validate(said)
    except ValidationError as error:
        violations = [_violation(one) for one in error.errors(include_url=False, include_input=False)]
        raise InvalidRequestError("There are no such settings.", violations) from error


def _violation(problem: Any) -> FieldViolation:
    name, *rest = [str(part) for part in problem["loc"]] or [""]
    path = ".".join(["settings", *([_FIELDS.get(name, name)] if name else []), *rest])
    return FieldViolation(path, str(problem["msg"]).removeprefix("Value error, "))
