"""In which order tests run, so that several processes end together.

xdist gives each process a run of neighbours, as many tests to each, and lets who is done take over the last half of
what somebody else has left. So modules are dealt out by what they cost, and tests that cost next to nothing stand at
the end of each run, where they are taken over a few at a time. Tests that share an installation stay together: it is
started once. A cost that is wrong makes a run longer, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, Generic, Protocol, TypeVar

SHARED: Final = ("observed", "street", "stack", "wheel")
"""Fixtures that are dear: whole installations, and the wheel. Who asks for several belongs to the first of them."""

CHEAP: Final = ("tests/unit/", "tests/chart/", "tests/contract/")
"""Where tests cost next to nothing, but for the modules in `COSTS`."""

COSTS: Final[dict[str, float]] = {
    "tests/e2e/test_random_lives.py": 90,
    "tests/integration/test_erased_families.py": 55,
    "tests/e2e/test_shutdown.py": 50,
    "tests/integration/test_reconciliation.py": 50,
    "tests/integration/test_redis_cluster.py": 50,
    "tests/e2e/test_demo.py": 45,
    "tests/integration/test_erasure.py": 42,
    "tests/faults/test_guards_refuse.py": 34,
    "tests/faults/test_services_killed.py": 31,
    "tests/e2e/test_attribution_vectors.py": 31,
    "tests/faults/test_client_is_disturbed.py": 30,
    "tests/e2e/test_stack.py": 29,
    "tests/faults/test_delivery_counts_once.py": 26,
    "tests/faults/test_delivery_dies.py": 26,
    "tests/integration/test_families.py": 25,
    "tests/faults/test_delivery_is_disturbed.py": 20,
    "tests/e2e/test_up.py": 20,
    "tests/integration/test_attribution_order.py": 20,
    "tests/integration/test_recalling.py": 18,
    "tests/integration/test_counting.py": 17,
    "tests/e2e/test_refunds.py": 16,
    "tests/e2e/test_outages.py": 15,
    "tests/faults/test_the_door_survives.py": 15,
    "tests/contract/test_dockerfile.py": 14,
    "tests/integration/test_rebuild.py": 14,
    "tests/unit/runtime/test_server.py": 13,
    "tests/integration/test_attribution_service.py": 12,
    "tests/integration/test_hostile_requests.py": 11,
    "tests/integration/test_identity.py": 10,
    "tests/faults/test_a_workspace_floods.py": 10,
    "tests/property/test_people_do_not_depend_on_arrival.py": 8,
    "tests/property/test_credit_adds_up.py": 6,
    "tests/property/test_explanation_and_credit_agree.py": 6,
    "tests/property/test_lives_in_the_core.py": 6,
}
"""Modules that cost most, in seconds of processor time of all that they start."""

USUAL_COST: Final = 0.3
"""Of one test of any other module, in seconds of processor time."""

MOST: Final = 8.0
"""That any other module costs."""

LONG: Final = 20.0
"""From which cost on modules take turns: they do not begin all at once, nor is one met at the end."""


class Test(Protocol):
    """As much of a `pytest.Item` as is asked for."""

    nodeid: str
    fixturenames: Any


TestT = TypeVar("TestT", bound=Test)


@dataclass
class Block(Generic[TestT]):
    """Tests that one process runs, one after the other."""

    tests: list[TestT] = field(default_factory=list)
    cost: float = 0.0


def spread(tests: Sequence[TestT], processes: int) -> list[TestT]:
    """Returns the same tests in another order.

    Args:
        tests: As they were collected.
        processes: How many run them.
    """
    blocks, cheap = _blocks(tests)
    dealt: list[Block[TestT]] = [Block() for _ in range(processes)]
    own: list[list[Block[TestT]]] = [[] for _ in range(processes)]
    for block in sorted(blocks, key=lambda block: -block.cost):
        least = min(range(processes), key=lambda place: dealt[place].cost)
        own[least].append(block)
        dealt[least].cost += block.cost
    ordered: list[TestT] = []
    rest = iter(cheap)
    left = len(tests)
    for place, mine in enumerate(own):
        run = [test for block in _in_turns(mine, place, processes) for test in block.tests]
        size = left // (processes - place)  # as many as xdist gives it
        run += islice(rest, max(0, size - len(run)))
        left -= size
        ordered += run
    return [*ordered, *rest]


def _blocks(tests: Sequence[TestT]) -> tuple[list[Block[TestT]], list[TestT]]:
    """Returns what stays together, and the cheap tests."""
    modules: dict[str, list[TestT]] = {}
    for test in tests:
        modules.setdefault(test.nodeid.partition("::")[0], []).append(test)
    blocks: dict[str, Block[TestT]] = {}
    cheap: list[TestT] = []
    for module, own in modules.items():
        shared = next((name for name in SHARED if any(name in test.fixturenames for test in own)), "")
        if module.startswith(CHEAP) and module not in COSTS and not shared:
            cheap += own
            continue
        block = blocks.setdefault(shared or module, Block())
        block.tests += own
        block.cost += COSTS.get(module, min(MOST, USUAL_COST * len(own)))
    return list(blocks.values()), cheap


def _in_turns(blocks: list[Block[TestT]], place: int, processes: int) -> list[Block[TestT]]:
    """Returns blocks, dearest first, but in each process the long ones from another one of them on."""
    long = [block for block in blocks if block.cost >= LONG]
    start = place * len(long) // processes
    return [*long[start:], *long[:start], *blocks[len(long) :]]
