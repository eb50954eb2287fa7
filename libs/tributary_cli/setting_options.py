"""The options that say under which other settings credit is wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from tributary.attribution.v1.explanation_pb2 import CreditSettings

_Command = TypeVar("_Command", bound=Callable[..., Any])

_NUMBERS = (
    *("lookback_days", "half_life_hours", "touch_cap", "late_touch_seconds", "session_timeout_minutes"),
    "impression_window_days",
)


def setting_options(command: _Command) -> _Command:
    """Adds the options to a command; `read_settings` reads them."""
    for option in (
        click.option("--path-continues", is_flag=True, help="Paths end nowhere."),
        click.option("--path-reset", "path_reset_names", multiple=True, metavar="NAME", help="Paths end there."),
        click.option("--no-direct-channels", is_flag=True, help="last_non_direct passes none."),
        click.option("--direct-channel", "direct_channels", multiple=True, help="last_non_direct passes it; repeat."),
        click.option("--collapse-repeats/--keep-repeats", default=None, help="Of one source, campaign and ad."),
        click.option("--impression-window-days", type=int, help="How far back what was only seen may lie."),
        click.option("--impressions", "impression_policy", help="ignore, only_without_click or full."),
        click.option("--touch-grain", help="interaction or event."),
        click.option("--session-timeout-minutes", type=int, help="Inactivity that ends a session."),
        click.option("--late-touch-seconds", type=int, help="How late a touch still counts as before."),
        click.option("--touch-cap", type=int, help="Touches of a window at most."),
        click.option("--position-weights", metavar="A,B,C", help="First, all between together, last."),
        click.option("--half-life-hours", type=int, help="time_decay."),
        click.option(
            "--model-lookback", "model_lookback_days", multiple=True, metavar="MODEL=DAYS", help="0: as all; repeat."
        ),
        click.option("--lookback-days", type=int, help="Days before the conversion, both ends included."),
    ):
        command = option(command)
    return command


def read_settings(said: Mapping[str, Any]) -> CreditSettings:
    """Returns what differs; what was not said is unset.

    Args:
        said: What the options gave.

    Raises:
        click.BadParameter: A text is none of what it should be.
    """
    from tributary.attribution.v1.explanation_pb2 import CreditSettings

    settings = CreditSettings(**{name: said[name] for name in _NUMBERS if said[name] is not None})
    if said["collapse_repeats"] is not None:
        settings.collapse_repeats = said["collapse_repeats"]
    settings.touch_grain = said["touch_grain"] or ""
    settings.impression_policy = said["impression_policy"] or ""
    settings.direct_channels.extend(said["direct_channels"])
    settings.path_reset_names.extend(said["path_reset_names"])
    settings.no_direct_channels, settings.path_continues = said["no_direct_channels"], said["path_continues"]
    for text in said["model_lookback_days"]:
        model, _, days = text.partition("=")
        settings.model_lookback_days[model] = _number(days, text, "--model-lookback", "MODEL=DAYS")
    weights = said["position_weights"]
    if weights is not None:
        numbers = [_number(one, weights, "--position-weights", "A,B,C") for one in weights.split(",")]
        settings.position_weights.extend(numbers)
    return settings


def _number(text: str, whole: str, option: str, form: str) -> int:
    if not text.strip().isdecimal():
        raise click.BadParameter(f"{whole!r} is not {form}.", param_hint=option)
    return int(text)
