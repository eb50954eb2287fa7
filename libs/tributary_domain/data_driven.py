"""data_driven: what a channel is worth by a workspace's own paths, as a model that never changes once published.

*Markov*, order 1: the removal effect of a channel is the share of conversions that would be lost without it, in the
chain fitted to all paths: R = 1 - P(conversion, where what went to the channel goes nowhere) / P(conversion). A touch
weighs as its channel's R; touches of one channel share it equally.

*Shapley*: a channel's worth is its mean contribution to conversions over all orders of joining. For the game
"conversions whose channels are all in S" that is exactly an equal split over the different channels of each path, so
each conversion is split that way, and the sums are the Shapley values (no 2^n sets are looked at).

The one rule: a credit names the version of its model, and under that version it is exact: the model carries integer
weights, money and credit are split by them with the largest remainder. Floats live only while a chain is solved, once
per publication, in one fixed order of additions: the same counts give the same bits on every machine.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import lcm
from typing import Final

from tributary_domain.attribution import WHOLE, Attribution, UnattributedReason
from tributary_domain.journey import JourneyTouch, in_event_order
from tributary_domain.path_counts import CONVERSION, START, PathCounts
from tributary_domain.settings import AttributionSettings
from tributary_domain.shares import share_out, split_exactly
from tributary_domain.touch_paths import path_touches
from tributary_domain.windows import CreditableConversion

WEIGHTS_SUM: Final = 10**12
"""What the weights of a model add up to: fine enough that rounding moves no credit by a micro."""

MAX_CHANNELS: Final = 200
"""A chain is solved in O(n³): 50 channels take about 20 ms."""


class DataDrivenMethod(StrEnum):
    """How a channel's worth is found."""

    MARKOV = "markov"
    """By what its removal would lose."""
    SHAPLEY = "shapley"
    """By an equal split over the channels of each conversion."""


@dataclass(frozen=True, slots=True)
class Floor:
    """Evidence below which there is no model."""

    conversions: int = 200
    paths: int = 2_000


@dataclass(frozen=True, slots=True)
class DataDrivenModel:
    """A published model. Its version names its content: the same weights and evidence have the same version."""

    method: DataDrivenMethod
    channels: tuple[str, ...]
    """Sorted."""
    weights: tuple[int, ...]
    """One per channel; they add up to `WEIGHTS_SUM`."""
    removal_effects: tuple[float, ...]
    """One per channel, for display; by Shapley the channel's share."""
    paths: int
    """Evidence: journeys, with those that did not convert."""
    conversions: int
    """Evidence: journeys that converted."""
    conversion_probability: float
    """P(conversion) of the fitted chain, which is conversions / paths; for display."""
    version: str

    def weight_of(self, channel: str) -> int:
        """Returns the weight of a channel; 0 of one that the evidence did not know."""
        return dict(zip(self.channels, self.weights, strict=True)).get(channel, 0)


@dataclass(frozen=True, slots=True)
class NotEnoughEvidence:
    """Says that there is no model, and how far away it is."""

    paths: int
    conversions: int
    floor: Floor


@dataclass(frozen=True, slots=True)
class DataDrivenCredit:
    """The credit of one conversion under a pinned model, aligned with its touches."""

    version: str
    weights: tuple[int, ...]
    credits: tuple[int, ...]
    """Add up to 1 000 000; empty without a touch."""
    amounts: tuple[int, ...]
    """Add up to the value; empty without a touch."""


def fit(
    counts: PathCounts, method: DataDrivenMethod = DataDrivenMethod.MARKOV, floor: Floor | None = None
) -> DataDrivenModel | NotEnoughEvidence:
    """Fits a model to counts.

    Args:
        counts: Of all paths of a workspace and conversion name.
        method: How.
        floor: Evidence it takes; at least one conversion is always needed.

    Raises:
        ValueError: More than `MAX_CHANNELS` channels.
    """
    floor = floor or Floor()
    if counts.conversions < max(1, floor.conversions) or counts.paths < floor.paths:
        return NotEnoughEvidence(counts.paths, counts.conversions, floor)
    channels = tuple(sorted({state for step in counts.steps for state in step if isinstance(state, str)}))
    if len(channels) > MAX_CHANNELS:
        message = f"More than {MAX_CHANNELS} channels are not one chain: group them first."
        raise ValueError(message)
    if method is DataDrivenMethod.SHAPLEY:
        values = shapley_values(counts, channels)
        weights = split_exactly(WEIGHTS_SUM, values)
        effects = [value / sum(values) for value in values]
        probability = counts.conversions / counts.paths
    else:
        probability, effects = removal_effects(counts, channels)
        weights = split_exactly(WEIGHTS_SUM, [max(0, round(effect * (1 << 62))) for effect in effects])
    content = repr((method.value, channels, weights, counts.paths, counts.conversions)).encode()
    return DataDrivenModel(
        method=method,
        channels=channels,
        weights=tuple(weights),
        removal_effects=tuple(effects),
        paths=counts.paths,
        conversions=counts.conversions,
        conversion_probability=probability,
        version="m1:" + hashlib.blake2b(content, digest_size=12).hexdigest(),
    )


def data_driven_touches(
    entries: Iterable[JourneyTouch], conversion: CreditableConversion, settings: AttributionSettings
) -> Sequence[JourneyTouch]:
    """Returns the touches that share a conversion under data_driven, oldest first: their channels are its path.

    Its window is its own lookback, or that of all models; all else is as for the other models.

    Args: as for `attribution.attribute`.
    """
    return path_touches((), in_event_order(entries), conversion, settings)


def credit_under(model: DataDrivenModel, channels: Sequence[str], amount_micros: int) -> DataDrivenCredit:
    """Shares one conversion among its touches, under a pinned model.

    A channel that the model does not know has no weight beside known ones. Where it knows none of them, the different
    channels share equally.

    Args:
        model: What the credit pins.
        channels: Of the touches that share the conversion, oldest first.
        amount_micros: The credited value.
    """
    if not channels:
        return DataDrivenCredit(model.version, (), (), ())
    weights = weights_under(model, channels)
    whole = sum(weights)
    return DataDrivenCredit(
        model.version,
        tuple(weights),
        tuple(share_out(WHOLE, weights, whole)),
        tuple(share_out(amount_micros, weights, whole)),
    )


def weights_under(model: DataDrivenModel, channels: Sequence[str]) -> list[int]:
    """Returns the weight of each touch of a path under a model, as an integer.

    Args:
        model: What the credit pins.
        channels: Of the touches, oldest first.
    """
    return touch_weights(channels, _weights(model, channels))


def with_data_driven(
    attribution: Attribution, path: Sequence[JourneyTouch], channels: Sequence[str], model: DataDrivenModel
) -> Attribution:
    """Adds the credit of data_driven to that of the other models.

    Args:
        attribution: Of the other models.
        path: The touches of data_driven's window, oldest first.
        channels: Of each of them.
        model: What the credit pins.

    Returns:
        The credit of every model; touches that data_driven alone sees have 0 under the others.
    """
    touches = attribution.touches
    known = {touch[:2] for touch in touches}
    if any(touch[:2] not in known for touch in path):
        own = [touch for touch in path if touch[:2] not in known]
        everything = tuple(in_event_order([*touches, *own]))
        parts = [_aligned(every, touches, everything) for every in (attribution.credits, attribution.amounts)]
        touches, (credits, amounts) = everything, parts
    else:
        credits, amounts = attribution.credits, attribution.amounts
    credit = credit_under(model, channels, attribution.amount_micros)
    reason: UnattributedReason | None = None
    if not path:  # the window of the others may hold touches that are older than its own
        found = (one for one in attribution.unattributed if one is not None)
        reason = next(found, UnattributedReason.OUTSIDE_WINDOW)
    return Attribution(
        touches,
        (*credits, *_aligned([credit.credits], path, touches)),
        (*amounts, *_aligned([credit.amounts], path, touches)),
        (*attribution.unattributed, reason),
        attribution.amount_micros,
        model.version,
    )


def without_data_driven(attribution: Attribution) -> Attribution:
    """Takes the credit of data_driven out again."""
    if not attribution.model_version:
        return attribution
    credits, amounts, reasons = attribution.credits[:-1], attribution.amounts[:-1], attribution.unattributed[:-1]
    return Attribution(attribution.touches, credits, amounts, reasons, attribution.amount_micros)


def _aligned(
    parts: Sequence[Sequence[int]], touches: Sequence[JourneyTouch], among: Sequence[JourneyTouch]
) -> tuple[tuple[int, ...], ...]:
    """Aligns the parts of some touches with more touches, per model."""
    if len(touches) == len(among):
        return tuple(tuple(own) for own in parts)
    place = {touch[:2]: index for index, touch in enumerate(touches)}
    return tuple(tuple(own[place[touch[:2]]] if touch[:2] in place else 0 for touch in among) for own in parts)


def _weights(model: DataDrivenModel, channels: Sequence[str]) -> dict[str, int]:
    if model.method is DataDrivenMethod.SHAPLEY:
        return dict.fromkeys(channels, 1)
    known = dict(zip(model.channels, model.weights, strict=True))
    return {channel: known.get(channel, 0) for channel in channels}


def touch_weights(channels: Sequence[str], weight_of: Mapping[str, int]) -> list[int]:
    """Returns the weight of each touch as an integer: its channel's, shared equally by the channel's touches.

    >>> touch_weights(["Email", "Direct", "Email"], {"Email": 3, "Direct": 1})
    [3, 2, 3]
    """
    times: dict[str, int] = {}
    for channel in channels:
        times[channel] = times.get(channel, 0) + 1
    if not any(weight_of[channel] for channel in times):
        weight_of = dict.fromkeys(times, 1)
    common = lcm(*times.values())
    return [weight_of[channel] * (common // times[channel]) for channel in channels]


def shapley_values(counts: PathCounts, channels: Sequence[str]) -> list[int]:
    """Returns the Shapley value of each channel in conversions, times one common factor, exactly.

    Args:
        counts: Of all paths.
        channels: Those wanted.
    """
    common = lcm(*(size for _, size in counts.shared))
    values = dict.fromkeys(channels, 0)
    for (channel, size), count in counts.shared.items():
        values[channel] += count * (common // size)
    return [values[channel] for channel in channels]


def removal_effects(counts: PathCounts, channels: Sequence[str]) -> tuple[float, list[float]]:
    """Returns P(conversion) of the fitted chain, and per channel the share of it that its removal loses.

    With N the expected visits of the chain (the inverse of I - Q) a path passes i with probability N[start, i] /
    N[i, i] and converts from there with probability h[i]; the product is what is lost without i. One inversion serves
    all channels. I - Q is a diagonally dominant M-matrix, so elimination needs no pivoting and loses no digits.

    Args:
        counts: Of all paths, at least one of which converted.
        channels: All channels in the counts.
    """
    states: list[str | int] = [START, *channels]
    place = {state: index for index, state in enumerate(states)}
    size = len(states)
    left = [0] * size
    for (one, _), count in counts.steps.items():
        left[place[one]] += count
    matrix = [[0.0] * size for _ in range(size)]
    converts = [0.0] * size
    for (one, other), count in sorted(counts.steps.items(), key=str):
        row = place[one]
        if other in place and other != START:
            matrix[row][place[other]] = -count / left[row]
        elif other == CONVERSION:
            converts[row] = count / left[row]
    for index in range(size):
        matrix[index][index] = 1.0
    visits = _inverse(matrix)
    reaches = [sum(visit * chance for visit, chance in zip(row, converts, strict=True)) for row in visits]
    probability = reaches[0]
    effects = [visits[0][i] / visits[i][i] * reaches[i] / probability for i in range(1, size)]
    return probability, effects


def _inverse(matrix: list[list[float]]) -> list[list[float]]:
    """Returns the inverse of a matrix, by Gauss-Jordan elimination in the order of its rows."""
    size = len(matrix)
    rows = [[*row, *([0.0] * index), 1.0, *([0.0] * (size - index - 1))] for index, row in enumerate(matrix)]
    for index in range(size):
        pivot = rows[index][index]
        rows[index] = own = [value / pivot for value in rows[index]]
        for other in range(size):
            factor = rows[other][index]
            if other != index and factor:
                rows[other] = [value - factor * mine for value, mine in zip(rows[other], own, strict=True)]
    return [row[size:] for row in rows]
