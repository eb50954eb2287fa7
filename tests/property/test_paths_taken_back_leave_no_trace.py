"""Counts of paths are added and taken back exactly, and every model made of them shares to the last unit."""

from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tributary_domain.data_driven import DataDrivenMethod, DataDrivenModel, Floor, credit_under, fit
from tributary_domain.path_counts import PathCounts, counts_of, total

Path = tuple[list[str], bool]

paths = st.tuples(st.lists(st.sampled_from("ABCDE"), max_size=6), st.booleans())
worlds = st.lists(paths, max_size=25)


def counted(world: list[Path]) -> PathCounts:
    return total((counts_of(path, converted=converted), 1) for path, converted in world)


@given(worlds, worlds)
def test_adding_and_taking_back_returns_to_the_start(world: list[Path], more: list[Path]) -> None:
    kept = counted(world)
    for path, converted in more:
        kept = kept.plus(counts_of(path, converted=converted))
    assert kept == counted([*more, *world])
    for path, converted in more:
        kept = kept.plus(counts_of(path, converted=converted), -1)
    assert kept == counted(world)


@given(worlds)
def test_the_chain_converts_as_often_as_its_paths_and_loses_what_passed_a_channel(world: list[Path]) -> None:
    fitted = fit(counted(world), floor=Floor(0, 0))
    if isinstance(fitted, DataDrivenModel):
        assert abs(fitted.conversion_probability - fitted.conversions / fitted.paths) < 1e-12
        for effect, exact in zip(fitted.removal_effects, _exact_effects(world, fitted.channels), strict=True):
            assert abs(effect - exact) < 1e-9


@given(worlds, paths, st.sampled_from(list(DataDrivenMethod)), st.integers(-(10**12), 10**12))
def test_every_conversion_is_shared_to_the_last_unit(
    world: list[Path], path: Path, method: DataDrivenMethod, amount: int
) -> None:
    fitted = fit(counted(world), method, Floor(0, 0))
    if isinstance(fitted, DataDrivenModel) and path[0]:
        credit = credit_under(fitted, path[0], amount)
        assert (sum(credit.credits), sum(credit.amounts)) == (1_000_000, amount)


def _exact_effects(world: list[Path], channels: tuple[str, ...]) -> list[Fraction]:
    """Removal effects from their definition, with fractions: the chain is solved once more without each channel."""
    whole = _converts(world, "")
    return [1 - _converts(world, channel) / whole for channel in channels]


def _converts(world: list[Path], removed: str) -> Fraction:
    """P(conversion) where every step to `removed` goes nowhere, by elimination of one state after the other."""
    counts: dict[str, dict[str, Fraction]] = {}
    for path, converted in world:
        states = ["(start)", *path, "(conversion)" if converted else "(null)"] if path else []
        for one, other in pairwise(states):
            counts.setdefault(one, {}).setdefault(other, Fraction(0))
            counts[one][other] += 1
    chances = {one: {other: n / sum(to.values()) for other, n in to.items()} for one, to in counts.items()}
    chances.pop(removed, None)
    for state in [state for state in chances if state != "(start)"]:
        ways = chances.pop(state)
        stays = ways.pop(state, Fraction(0))
        for other in chances.values():
            arrives = other.pop(state, Fraction(0))
            for to, chance in ways.items():
                if arrives:
                    other[to] = other.get(to, Fraction(0)) + arrives * chance / (1 - stays)
    return chances["(start)"].get("(conversion)", Fraction(0))
