"""Credit: one conversion shared among the touches of its window, under every model at once.

A pure function of journey, conversion and settings. Per model the credits are integers that add up to exactly
1 000 000, or nothing was eligible and all of it is unattributed, for one reason. Money is split by the same weights
(not by the rounded credits) and adds up to the conversion's value to the micro.

Inside are tuples and tables instead of objects: this runs for every conversion of every workspace.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import Final

from tributary_domain.journey import Exclusion, JourneyTouch, in_event_order
from tributary_domain.settings import HOUR, MODELS, AttributionModel, AttributionSettings
from tributary_domain.shares import share_out, split_equally, split_exactly
from tributary_domain.time_decay import decay_weights
from tributary_domain.touch_paths import path_touches
from tributary_domain.windows import CreditableConversion, exclusions, shared_touches

WHOLE: Final = 1_000_000
"""Credit micros of one conversion under one model."""


class UnattributedReason(StrEnum):
    """Why no touch earned a conversion. Not Direct: that needs a direct visit that was observed."""

    NO_TOUCHPOINT = "no_touchpoint"
    """The person has no touch before the conversion. What comes after it is no reason and never revises it."""
    OUTSIDE_WINDOW = "outside_window"
    """The person has touches before the conversion, and all are older than the window."""
    ONLY_QUARANTINED = "only_quarantined"
    """The touches of the window all wait for a release."""
    NO_CONSENT = "no_consent"
    """A touch of the window would have earned it, with consent."""
    EXCLUDED_BY_SETTING = "excluded_by_setting"
    """A touch of the window would have earned it under other settings."""
    ANONYMOUS = "anonymous"
    """The conversion carries nothing that links it to a person."""


@dataclass(frozen=True, slots=True)
class Attribution:
    """The credit of one conversion. Outer tuples are in the order of `MODELS`, inner ones aligned with `touches`."""

    touches: tuple[JourneyTouch, ...]
    """What shares the conversion under at least one model, oldest first."""
    credits: tuple[tuple[int, ...], ...]
    """Credit micros: each model adds up to 1 000 000, or to 0 where the conversion is unattributed."""
    amounts: tuple[tuple[int, ...], ...]
    """Amount micros: each model adds up to the value, or to 0 where the conversion is unattributed."""
    unattributed: tuple[UnattributedReason | None, ...]
    """Per model: why nobody earned the conversion; None where somebody did."""
    amount_micros: int
    """The value that was shared."""
    model_version: str = ""
    """Where data_driven has a model, the version it pins: credits, amounts and reasons have one more, for it."""

    @property
    def unattributed_credits(self) -> tuple[int, ...]:
        """Credit micros that no touch earned, per model: all or nothing."""
        return tuple(WHOLE if reason else 0 for reason in self.unattributed)

    @property
    def unattributed_amounts(self) -> tuple[int, ...]:
        """Amount micros that no touch earned, per model: all or nothing."""
        return tuple(self.amount_micros if reason else 0 for reason in self.unattributed)


def attribute(
    entries: Iterable[JourneyTouch],
    conversion: CreditableConversion,
    settings: AttributionSettings,
    settled: Sequence[JourneyTouch] = (),
    path: list[JourneyTouch] | None = None,
) -> Attribution:
    """Shares a conversion among the touches of its window, under every model.

    Args:
        entries: The person's journey, in any order and with any repeats; must be complete for
            `settings.history_micros` before the conversion. What came later may be in it.
        conversion: The conversion.
        settings: What was effective at its time (`settings.settings_at`).
        settled: Touches of before that the journey has forgotten (`windows.shared_touches`).
        path: Receives the touches of data_driven's window, oldest first.

    Returns:
        Its credit. The same set of entries gives the same credit.
    """
    ordered = in_event_order(entries)
    windows = shared_touches(ordered, conversion, settings, settled=settled)
    if path is not None:
        path += path_touches(windows, ordered, conversion, settings, settled)
    if len(windows) == 1:
        touches = tuple(windows[0])
        every = _every_model(touches, conversion.amount_micros, settings)
    else:
        touches = tuple(in_event_order(touch for window in windows for touch in window))
        every = _models_by_window(touches, windows, conversion.amount_micros, settings)
    credits, amounts = every
    if all(windows):
        unattributed: tuple[UnattributedReason | None, ...] = (None,) * len(MODELS)
    else:
        unattributed = _reasons(ordered, windows, conversion, settings)
    return Attribution(touches, credits, amounts, unattributed, conversion.amount_micros)


def _reasons(
    ordered: Sequence[JourneyTouch],
    windows: Sequence[Sequence[JourneyTouch]],
    conversion: CreditableConversion,
    settings: AttributionSettings,
) -> tuple[UnattributedReason | None, ...]:
    """Returns the reason of each model whose window is empty."""
    left_out = exclusions(ordered, conversion, settings)
    reasons: list[UnattributedReason | None] = [None] * len(MODELS)
    for (lookback, models), window in zip(settings.windows, windows, strict=True):
        if not window:
            reason = _reason(left_out, windows, conversion, conversion.event_time_micros - lookback)
            for model in models:
                reasons[model] = reason
    return tuple(reasons)


def _reason(
    left_out: dict[JourneyTouch, Exclusion],
    windows: Sequence[Sequence[JourneyTouch]],
    conversion: CreditableConversion,
    oldest: int,
) -> UnattributedReason:
    """Names what came closest to earning the conversion in a window that holds nothing."""
    inside = {reason for entry, reason in left_out.items() if entry.event_time_micros >= oldest}
    if inside & {Exclusion.IMPRESSION_IGNORED, Exclusion.BEFORE_PATH_RESET, Exclusion.OVER_CAP}:
        return UnattributedReason.EXCLUDED_BY_SETTING
    if Exclusion.NO_CONSENT in inside:
        return UnattributedReason.NO_CONSENT
    if Exclusion.QUARANTINED in inside:
        return UnattributedReason.ONLY_QUARANTINED
    if (
        conversion.has_earlier_touch
        or any(windows)
        or any(entry.is_touch for entry in left_out if entry.event_time_micros < oldest)
        or Exclusion.OUTSIDE_VIEW_WINDOW in inside
    ):
        return UnattributedReason.OUTSIDE_WINDOW
    return UnattributedReason.ANONYMOUS if conversion.is_anonymous else UnattributedReason.NO_TOUCHPOINT


def kept(published: Attribution, computed: Attribution, *, is_anonymous: bool, is_moved: bool) -> Attribution:
    """Returns the credit of a conversion whose journey is not whole any more: what is forgotten takes nothing away.

    Where nothing but forgetting lies between the two, credits and reasons stay as published, and the new amount is
    split by the weights behind them. Those are exact for every model that gives all to one touch, and for linear,
    position_based and time_decay as long as today's settings give the published credits: then `computed`, which knew
    the touches and their times, has split the amount already. Else (settings of the past were edited, or the window of
    a model was capped) the published credits are the weights: the parts still add up to the amount, each within a
    millionth of it of what the true weights would give.

    Args:
        published: As it was published.
        computed: The same touches (as `settled`, or in the journey) with what is new, and the amount now.
        is_anonymous: Whether nothing links the conversion to a person now.
        is_moved: Whether its place in event order changed, or a path reset came between.
    """
    if len(published.unattributed) != len(MODELS):
        return computed
    unattributed = tuple(
        before if _outlives(before, now, is_anonymous=is_anonymous) else now
        for before, now in zip(published.unattributed, computed.unattributed, strict=True)
    )
    known = {touch[:2] for touch in published.touches}
    if not known or is_moved or any(touch[:2] not in known for touch in computed.touches):
        return replace(computed, unattributed=unattributed)
    same = [touch[:2] for touch in computed.touches] == [touch[:2] for touch in published.touches]
    amounts = []
    for model, credits in enumerate(published.credits):
        if published.unattributed[model] is not None:
            amounts.append((0,) * len(credits))
        elif same and computed.credits[model] == credits:
            amounts.append(computed.amounts[model])
        else:
            amounts.append(tuple(split_exactly(computed.amount_micros, credits)))
    return replace(published, amounts=tuple(amounts), amount_micros=computed.amount_micros)


def _outlives(before: UnattributedReason | None, now: UnattributedReason | None, *, is_anonymous: bool) -> bool:
    """Tells whether a published reason says more than what is left: that nothing is known, or only what is older."""
    if before is None or (before is UnattributedReason.ANONYMOUS and not is_anonymous):
        return False
    if now is UnattributedReason.OUTSIDE_WINDOW:
        return before is not UnattributedReason.NO_TOUCHPOINT
    return now is UnattributedReason.NO_TOUCHPOINT


Shares = tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...]]
"""Credits and amounts, per model and touch."""


def _every_model(touches: Sequence[JourneyTouch], amount: int, settings: AttributionSettings) -> Shares:
    """Shares one conversion among touches that every model sees."""
    count = len(touches)
    if count == 0:
        return ((),) * len(MODELS), ((),) * len(MODELS)
    if count == 1:
        return ((WHOLE,),) * len(MODELS), ((amount,),) * len(MODELS)
    linear, position, weights = _tables(count, settings.position_weights)
    last = count - 1
    last_non_direct = next(
        (index for index in range(last, -1, -1) if not touches[index][4] & settings.passed_over), last
    )
    decay = decay_weights([touch[0] for touch in touches], settings.half_life_hours * HOUR)
    whole_decay = sum(decay)
    credits = (
        _whole_to(0, count),
        _whole_to(last, count),
        _whole_to(last_non_direct, count),
        linear,
        position,
        tuple(share_out(WHOLE, decay, whole_decay)),
    )
    if amount == 0:
        return credits, ((0,) * count,) * len(MODELS)
    all_to_last = _all_to(last, count, amount)
    return credits, (
        _all_to(0, count, amount),
        all_to_last,
        all_to_last if last_non_direct == last else _all_to(last_non_direct, count, amount),
        tuple(split_equally(amount, count)),
        tuple(share_out(amount, weights, sum(weights))),
        tuple(share_out(amount, decay, whole_decay)),
    )


def _models_by_window(
    touches: Sequence[JourneyTouch],
    windows: Sequence[Sequence[JourneyTouch]],
    amount: int,
    settings: AttributionSettings,
) -> Shares:
    """Shares one conversion where models look back differently; a touch outside a model's window has 0 there."""
    place = {touch: index for index, touch in enumerate(touches)}
    credits: list[tuple[int, ...]] = [()] * len(MODELS)
    amounts: list[tuple[int, ...]] = [()] * len(MODELS)
    for (_, models), window in zip(settings.windows, windows, strict=True):
        window_credits, window_amounts = _every_model(window, amount, settings)
        for model in models:
            credits[model] = _placed(window_credits[model], window, place)
            amounts[model] = _placed(window_amounts[model], window, place)
    return tuple(credits), tuple(amounts)


def _placed(parts: Sequence[int], window: Sequence[JourneyTouch], place: dict[JourneyTouch, int]) -> tuple[int, ...]:
    """Aligns the parts of a window with all touches."""
    aligned = [0] * len(place)
    for part, touch in zip(parts, window, strict=True):
        aligned[place[touch]] = part
    return tuple(aligned)


def _all_to(index: int, count: int, whole: int) -> tuple[int, ...]:
    """Gives the whole to one touch."""
    return (0,) * index + (whole,) + (0,) * (count - index - 1)


@lru_cache(maxsize=4096)
def _whole_to(index: int, count: int) -> tuple[int, ...]:
    """Gives the whole credit to one touch."""
    return _all_to(index, count, WHOLE)


def position_weights(count: int, shares: tuple[int, int, int]) -> list[int]:
    """Returns the weight of each touch under position_based, as integers.

    With two touches the ends share in proportion: a/(a+c) and c/(a+c). Where the given shares leave all touches without
    weight (nothing for the ends of a path that has no middle), they share equally.

    Args:
        count: How many touches, at least 1.
        shares: For the oldest, for all between together, for the newest.

    >>> position_weights(4, (40, 20, 40))
    [80, 20, 20, 80]
    """
    first, middle, last = shares
    if count == 1:
        return [1]
    if count == 2:
        return [first, last] if first + last else [1, 1]
    return [first * (count - 2), *[middle] * (count - 2), last * (count - 2)]


def model_weights(model: AttributionModel, touches: Sequence[JourneyTouch], settings: AttributionSettings) -> list[int]:
    """Returns the weights by which a model shares a conversion: what `attribute` splits credit and money by.

    Args:
        model: One of `MODELS`.
        touches: Of its window, oldest first, at least one.
        settings: Half life and position weights.
    """
    count = len(touches)
    if model is AttributionModel.LINEAR:
        return [1] * count
    if model is AttributionModel.POSITION_BASED:
        return position_weights(count, settings.position_weights)
    if model is AttributionModel.TIME_DECAY:
        return decay_weights([touch[0] for touch in touches], settings.half_life_hours * HOUR)
    winner = 0 if model is AttributionModel.FIRST_TOUCH else count - 1
    if model is AttributionModel.LAST_NON_DIRECT:
        winner = next(
            (index for index in range(count - 1, -1, -1) if not touches[index][4] & settings.passed_over), winner
        )
    return list(_all_to(winner, count, 1))


@lru_cache(maxsize=4096)
def _tables(count: int, shares: tuple[int, int, int]) -> tuple[tuple[int, ...], tuple[int, ...], list[int]]:
    """Returns what depends on the number of touches only: linear credits, position credits, position weights."""
    weights = position_weights(count, shares)
    return tuple(split_equally(WHOLE, count)), tuple(split_exactly(WHOLE, weights)), weights
