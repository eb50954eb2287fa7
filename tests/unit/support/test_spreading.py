"""Tests are dealt out by what they cost; none is lost, and what is shared stays together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.support.spreading import COSTS, USUAL_COST, spread

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Collected:
    nodeid: str
    fixturenames: tuple[str, ...] = ()


def module(name: str, count: int, *fixtures: str) -> list[Collected]:
    return [Collected(f"{name}::test_{number}", fixtures) for number in range(count)]


TESTS = [
    *module("tests/chart/test_golden.py", 200),
    *module("tests/contract/test_distribution.py", 4, "wheel"),
    *module("tests/e2e/test_bad_input.py", 20, "shop", "street"),
    *module("tests/e2e/test_demo.py", 2),
    *module("tests/e2e/test_people.py", 20, "shop", "street"),
    *module("tests/e2e/test_random_lives.py", 1),
    *module("tests/faults/test_guards_refuse.py", 5),
    *(test for number in range(30) for test in module(f"tests/integration/test_{number}.py", 10, "stores")),
    *module("tests/unit/test_events.py", 900),
]


def runs(tests: list[Collected], processes: int) -> list[list[Collected]]:
    """Cuts tests as xdist does."""
    cut, left = [], list(tests)
    for place in range(processes):
        size = len(left) // (processes - place)
        cut.append(left[:size])
        left = left[size:]
    return cut


def cost_of(run: list[Collected]) -> float:
    modules = {test.nodeid.partition("::")[0] for test in run}
    dear = sum(COSTS.get(name, 0) for name in modules)
    usual = [test for test in run if not test.nodeid.startswith(("tests/unit", "tests/chart"))]
    return dear + USUAL_COST * sum(test.nodeid.partition("::")[0] not in COSTS for test in usual)  # none has the most


def test_no_test_is_lost_or_run_twice() -> None:
    for processes in (2, 3, 8, 2_000):
        assert sorted(spread(TESTS, processes), key=TESTS.index) == TESTS


def test_every_process_has_as_much_to_do() -> None:
    costs = [cost_of(run) for run in runs(spread(TESTS, 3), 3)]
    assert max(costs) - min(costs) < 10


def test_every_run_ends_with_what_is_cheap() -> None:
    for run in runs(spread(TESTS, 3), 3):
        assert run[-1].nodeid.startswith(("tests/unit", "tests/chart"))
        cheap = [test.nodeid.startswith(("tests/unit", "tests/chart")) for test in run]
        assert cheap == sorted(cheap)


def test_tests_that_share_an_installation_are_neighbours() -> None:
    ordered = spread(TESTS, 3)
    for fixture in ("street", "wheel"):
        places = [place for place, test in enumerate(ordered) if fixture in test.fixturenames]
        assert places == list(range(places[0], places[0] + len(places)))


def test_what_costs_most_is_a_module() -> None:
    assert [name for name in COSTS if not (ROOT / name).exists()] == []
