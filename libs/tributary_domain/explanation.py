"""Why each touch earned what it earned, and each other one nothing: enough to compute the credit again by hand.

The one rule: nothing is decided here. Which entries count, which touches they fold into, and by which weights a model
shares are asked of the functions that credit is computed with; only the division is shown step by step, and a test
holds it to the credit that was published.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tributary_domain.attribution import WHOLE, Attribution, attribute, model_weights
from tributary_domain.event_order import OrderKey
from tributary_domain.journey import Exclusion, JourneyTouch, in_event_order
from tributary_domain.settings import MODELS, AttributionModel, AttributionSettings
from tributary_domain.touches import Homes, Trace
from tributary_domain.windows import CreditableConversion, exclusions, shared_touches


class NoShare(StrEnum):
    """Why a touch of a model's window earned nothing under that model."""

    NOT_FIRST = "not_first"
    """first_touch: an older touch took it all."""
    NOT_LAST = "not_last"
    """last_touch, last_non_direct: a newer touch took it all."""
    DIRECT_IGNORED = "direct_ignored"
    """last_non_direct passed over its channel: an older touch is of another."""
    WEIGHT_ZERO = "weight_zero"
    """position_based: its place has no weight by the settings. time_decay: it is more than 63 half lives older."""
    CHANNEL_WITHOUT_WEIGHT = "channel_without_weight"
    """data_driven: the model gives its channel no weight beside the others of the path."""
    ROUNDED_TO_ZERO = "rounded_to_zero"
    """It has a weight, and no whole unit of the credit came to it."""


@dataclass(frozen=True, slots=True)
class DividedPart:
    """What one weight gets of a total: `quotient` + `extra`, with the sign of the total."""

    weight: int
    quotient: int
    """|total| · weight DIV sum of weights."""
    remainder: int
    """|total| · weight MOD sum of weights."""
    extra: int
    """1 for the largest remainders, the earlier of equals, until nothing is left over; else 0."""
    part: int
    """What it gets."""


@dataclass(frozen=True, slots=True)
class Division:
    """A total shared out by weights, step by step; of a negative total the absolute value is shared."""

    total: int
    weights_sum: int
    left_over: int
    """Units that rounding down left: as many parts have an `extra`."""
    parts: tuple[DividedPart, ...]


@dataclass(frozen=True, slots=True)
class ModelExplanation:
    """One model's sharing of the conversion."""

    model: AttributionModel
    lookback_micros: int
    touches: tuple[JourneyTouch, ...]
    """Of its window, oldest first; empty: the conversion is unattributed."""
    credits: Division | None
    """Of 1 000 000 credit micros, one part per touch; None where nobody earned it."""
    amounts: Division | None
    """Of the value."""
    reasons: tuple[tuple[JourneyTouch, Exclusion | NoShare], ...]
    """Touches of `Attribution.touches` that earned no credit under this model, each with exactly one reason."""


@dataclass(frozen=True, slots=True)
class EntryExplanation:
    """What became of one entry of the journey."""

    entry: JourneyTouch
    """As it is in the journey."""
    reason: Exclusion | None
    """Why it shares the conversion under no model; None where it does: see the models."""
    folded_into: OrderKey | None = None
    """With `FOLDED`: the event of the touch that it is part of."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that led to the credit of one conversion."""

    conversion: CreditableConversion
    settings_version: str
    attribution: Attribution
    entries: tuple[EntryExplanation, ...]
    """The person's journey in event order, each entry once."""
    models: tuple[ModelExplanation, ...]
    """In the order of `MODELS`."""


def explain(
    entries: Iterable[JourneyTouch],
    conversion: CreditableConversion,
    settings: AttributionSettings,
    settled: Sequence[JourneyTouch] = (),
) -> Explanation:
    """Explains the credit of a conversion.

    Args: as for `attribution.attribute`, whose answer is part of this one.
    """
    ordered = in_event_order(entries)
    attribution = attribute(ordered, conversion, settings, settled)
    left_out = exclusions(ordered, conversion, settings, settled)
    by_window: list[Trace] = []
    homes: Homes = {}
    windows = shared_touches(ordered, conversion, settings, {}, settled, by_window, homes)
    models: dict[AttributionModel, ModelExplanation] = {}
    for (lookback, indexes), window, trace in zip(settings.windows, windows, by_window, strict=True):
        for index in indexes:
            explained = _explain_model(MODELS[index], lookback, window, trace, attribution, settings)
            models[explained.model] = explained
    return Explanation(
        conversion=conversion,
        settings_version=settings.version,
        attribution=attribution,
        entries=tuple(EntryExplanation(entry, left_out.get(entry), homes.get(entry)) for entry in ordered),
        models=tuple(models[model] for model in MODELS),
    )


def divide(total: int, weights: Sequence[int]) -> Division:
    """Shares a total out as `shares.split_exactly` does, and keeps each step.

    >>> [(part.quotient, part.remainder, part.extra) for part in divide(5, [1, 1]).parts]
    [(2, 1, 1), (2, 1, 0)]

    Args:
        total: In any integer unit.
        weights: At least one; none negative, not all zero.
    """
    whole, sign = sum(weights), -1 if total < 0 else 1
    steps = [divmod(abs(total) * weight, whole) for weight in weights]
    left_over = abs(total) - sum(quotient for quotient, _ in steps)
    lucky = set(sorted(range(len(steps)), key=lambda place: -steps[place][1])[:left_over])
    parts = [
        DividedPart(weight, quotient, remainder, int(place in lucky), sign * (quotient + (place in lucky)))
        for place, (weight, (quotient, remainder)) in enumerate(zip(weights, steps, strict=True))
    ]
    return Division(total, whole, left_over, tuple(parts))


def _explain_model(
    model: AttributionModel,
    lookback: int,
    window: Sequence[JourneyTouch],
    trace: Trace,
    attribution: Attribution,
    settings: AttributionSettings,
) -> ModelExplanation:
    """Explains one model: its division, and why each touch of another model's window has nothing here."""
    inside = set(window)
    reasons: list[tuple[JourneyTouch, Exclusion | NoShare]] = [
        (touch, trace.get(touch, Exclusion.OUTSIDE_WINDOW)) for touch in attribution.touches if touch not in inside
    ]
    if not window:
        return ModelExplanation(model, lookback, (), None, None, tuple(reasons))
    weights = model_weights(model, window, settings)
    credits = divide(WHOLE, weights)
    winner = next((place for place, weight in enumerate(weights) if weight), 0)
    reasons += [
        (touch, _no_share(model, place, winner, touch, part))
        for place, (touch, part) in enumerate(zip(window, credits.parts, strict=True))
        if not part.part
    ]
    return ModelExplanation(
        model,
        lookback,
        tuple(window),
        credits,
        divide(attribution.amount_micros, weights),
        tuple(sorted(reasons, key=lambda found: found[0])),
    )


def _no_share(model: AttributionModel, place: int, winner: int, touch: JourneyTouch, part: DividedPart) -> NoShare:
    """Says why a touch of the window has no part."""
    if part.weight:
        return NoShare.ROUNDED_TO_ZERO
    if model is AttributionModel.FIRST_TOUCH:
        return NoShare.NOT_FIRST
    if model is AttributionModel.LAST_NON_DIRECT and place > winner:
        return NoShare.DIRECT_IGNORED
    if model in (AttributionModel.LAST_TOUCH, AttributionModel.LAST_NON_DIRECT):
        return NoShare.NOT_LAST
    return NoShare.WEIGHT_ZERO
