"""data_driven against what independent packages computed (`tests/vectors/README.md`), and its promises."""

import gzip
import json
import math
from collections import Counter
from datetime import datetime, timedelta
from functools import cache
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from tributary_domain.data_driven import (
    WEIGHTS_SUM,
    DataDrivenMethod,
    DataDrivenModel,
    Floor,
    NotEnoughEvidence,
    credit_under,
    fit,
    removal_effects,
)
from tributary_domain.path_counts import PathCounts, counts_of, from_fields, total

VECTORS = Path(__file__).parents[2] / "vectors" / "attribution.json.gz"
NO_FLOOR = Floor(0, 0)


@cache
def vectors() -> dict[str, Any]:
    with gzip.open(VECTORS) as file:
        loaded: dict[str, Any] = json.load(file)
    return loaded


@cache
def paths() -> list[tuple[tuple[str, ...], bool]]:
    """The 2 000 journeys, without the touches more than 30 days before their end."""
    found = []
    for journey in vectors()["journeys"]:
        oldest = datetime.fromisoformat(journey["end_t"]) - timedelta(days=30)
        touches = [touch["ch"] for touch in journey["touches"] if datetime.fromisoformat(touch["t"]) >= oldest]
        found.append((tuple(touches), journey["converted"]))
    return found


@cache
def counted() -> PathCounts:
    return total((counts_of(path, converted=converted), 1) for path, converted in paths())


def model(counts: PathCounts, method: DataDrivenMethod = DataDrivenMethod.MARKOV) -> DataDrivenModel:
    fitted = fit(counts, method, NO_FLOOR)
    assert isinstance(fitted, DataDrivenModel)
    return fitted


def test_removal_effects_and_shares_are_what_others_computed() -> None:
    expected = vectors()["markov_order_1_lookback_30_days"]
    fitted = model(counted())
    assert fitted.conversion_probability == pytest.approx(expected["p_conversion"], abs=1e-8)
    for place, channel in enumerate(fitted.channels):
        assert fitted.removal_effects[place] == pytest.approx(expected["removal_effect"][channel], abs=1e-8)
        assert fitted.weights[place] / WEIGHTS_SUM == pytest.approx(expected["share"][channel], abs=1e-8)


@pytest.mark.parametrize("same_state", ["false", "true"])
def test_channel_totals_are_what_others_computed_with_and_without_self_transitions(same_state: str) -> None:
    expected = vectors()["expected_totals_lookback_30_days"]["conversions"][f"markov_o1_same_state_{same_state}_agg"]
    fitted = model(counted())
    for place, channel in enumerate(fitted.channels):
        share = fitted.weights[place] / WEIGHTS_SUM * fitted.conversions
        assert share == pytest.approx(expected[channel], abs=1e-6)


def test_the_chain_converts_as_often_as_journeys_did() -> None:
    probability, _ = removal_effects(counted(), model(counted()).channels)
    assert abs(probability - counted().conversions / counted().paths) < 1e-12


def test_counts_kept_step_by_step_are_those_counted_at_once_and_fit_the_same_model() -> None:
    kept = PathCounts()
    for path, converted in paths()[:400]:
        kept = kept.plus(counts_of(path, converted=converted))
    at_once = total((counts_of(path, converted=converted), 1) for path, converted in reversed(paths()[:400]))
    assert kept == at_once
    assert model(kept) == model(at_once)


def test_a_path_that_is_taken_back_leaves_no_trace() -> None:
    one = counts_of(["Podcast", "Direct", "Podcast"], converted=True)
    assert counted().plus(one) != counted()
    assert counted().plus(one).plus(one, -1) == counted()
    assert counted().plus(counts_of(["Podcast", "Direct", "Podcast"], converted=True, times=-1)).plus(one) == counted()


def test_counts_survive_a_store_that_adds_up_fields() -> None:
    fields: Counter[str] = Counter()
    for path, converted in paths():
        fields.update(counts_of(path, converted=converted).fields())
    assert from_fields(fields) == counted()
    assert from_fields(counted().fields()) == counted()


def test_shapley_is_the_mean_contribution_over_all_orders() -> None:
    """From the definition: a channel joins a set, and the conversions it makes possible are its own."""
    seen = [(("A", "B", "A"), True), (("B",), True), (("C", "A", "B"), True), (("C",), False)]
    worth = dict.fromkeys("ABC", 0.0)
    for order in permutations("ABC"):
        for place, channel in enumerate(order):
            inside = [sum(c and set(p) <= set(order[:end]) for p, c in seen) for end in (place, place + 1)]
            worth[channel] += (inside[1] - inside[0]) / math.factorial(3)
    fitted = model(total((counts_of(path, converted=done), 1) for path, done in seen), DataDrivenMethod.SHAPLEY)
    for channel, value in worth.items():
        assert fitted.weight_of(channel) / WEIGHTS_SUM * 3 == pytest.approx(value, abs=1e-9)
    credited = Counter[str]()
    for path, converted in seen:
        if converted:
            credit = credit_under(fitted, path, 0)
            credited.update(dict.fromkeys(path, 0))
            for channel, part in zip(path, credit.credits, strict=True):
                credited[channel] += part
    assert {channel: part / 1e6 for channel, part in credited.items()} == pytest.approx(worth, abs=1e-5)


@pytest.mark.parametrize(
    ("conversions", "others", "is_enough"),
    [
        pytest.param(200, 1_800, True, id="exactly enough"),
        pytest.param(199, 1_801, False, id="a conversion too few"),
        pytest.param(200, 1_799, False, id="a path too few"),
    ],
)
def test_below_the_floor_it_says_so(conversions: int, others: int, is_enough: bool) -> None:
    counts = total([(counts_of(["A"], converted=True), conversions), (counts_of(["A", "B"], converted=False), others)])
    fitted = fit(counts)
    assert isinstance(fitted, DataDrivenModel) is is_enough
    if not is_enough:
        assert fitted == NotEnoughEvidence(conversions + others, conversions, Floor(200, 2_000))


def test_nothing_is_learnt_from_no_conversion() -> None:
    assert isinstance(fit(counts_of(["A"], converted=False), floor=NO_FLOOR), NotEnoughEvidence)


def test_a_version_names_the_content_of_a_model() -> None:
    assert model(counted()).version == model(counted()).version
    more = counted().plus(counts_of(["Email"], converted=False))
    assert model(more).version != model(counted()).version
    assert model(counted(), DataDrivenMethod.SHAPLEY).version != model(counted()).version


def test_fifty_channels_are_solved() -> None:
    names = [f"channel {number}" for number in range(50)]
    ways = [[names[i], names[(i * 7 + j) % 50], names[(i + j) % 50]] for i in range(50) for j in range(5)]
    counts = total((counts_of(way, converted=place % 3 == 0), 1) for place, way in enumerate(ways))
    fitted = model(counts)
    assert sum(fitted.weights) == WEIGHTS_SUM
    assert abs(fitted.conversion_probability - counts.conversions / counts.paths) < 1e-12


def test_more_channels_than_one_chain_takes_are_refused() -> None:
    with pytest.raises(ValueError, match="group them"):
        fit(counts_of([str(number) for number in range(201)], converted=True), floor=NO_FLOOR)


TINY = DataDrivenModel(DataDrivenMethod.MARKOV, ("A", "B"), (3, 1), (0.75, 0.25), 10, 5, 0.5, "m1:x")


@pytest.mark.parametrize(
    ("channels", "weights", "credits"),
    [
        pytest.param(["A", "B"], (3, 1), (750_000, 250_000), id="by the weights of channels"),
        pytest.param(["A", "B", "A"], (3, 2, 3), (375_000, 250_000, 375_000), id="touches of a channel share"),
        pytest.param(["New", "B"], (0, 1), (0, 1_000_000), id="an unknown channel beside a known one"),
        pytest.param(["New", "New", "Old"], (1, 1, 2), (250_000, 250_000, 500_000), id="only unknown channels"),
        pytest.param([], (), (), id="no touch"),
    ],
)
def test_one_conversion_is_shared_by_the_weights_of_its_channels(
    channels: list[str], weights: tuple[int, ...], credits: tuple[int, ...]
) -> None:
    credit = credit_under(TINY, channels, 1_000_001)
    assert (credit.version, credit.weights, credit.credits) == ("m1:x", weights, credits)
    assert sum(credit.amounts) == (1_000_001 if channels else 0)


def test_every_vector_conversion_is_shared_to_the_last_micro() -> None:
    fitted = model(counted())
    for path, converted in paths():
        if converted and path:
            for amount in (1, -7, 1_234_567):
                credit = credit_under(fitted, path, amount)
                assert (sum(credit.credits), sum(credit.amounts)) == (1_000_000, amount)
