"""What becomes of orders that were told with and without their cycles, as reconciliation derives it."""

from __future__ import annotations

import pytest

from tributary_domain.ids import family_id
from tributary_domain.reconciled_orders import Orders, ToldOrder, orders_of
from tributary_domain.reconciled_records import Related, Staged, StandIn
from tributary_domain.reconciled_shares import SeveralCycles

_FAMILY = family_id("first:8:purchase:0::7")
_BROWSER, _BACKEND = 1, 2


def _said(conversion_id: str, *, rank: int = _BACKEND, kind: int = 0, at: int = 5) -> Related:
    cycle, subscription = (conversion_id, f"s-{conversion_id}") if kind else ("", "")
    return Related(
        conversion_id, "purchase", "", "7", "", "", "", subscription, kind, rank, at, 1, is_internal=False, cycle=cycle
    )


def _staged(conversion_id: str, at: int = 5, *, counted: bool = True) -> Staged:
    return Staged(conversion_id, 0, 0, at, 1, 0, counted, False, 100, 0, ())


def _orders(*cycles: str, plains: tuple[str, ...] = ("c1:plain",)) -> Orders:
    return Orders({_FAMILY: cycles}, {_FAMILY: plains}, dict.fromkeys(cycles, _FAMILY))


@pytest.mark.parametrize(
    ("observed", "credited"),
    [
        pytest.param(("c1:plain", "s1:plain"), "c1:plain", id="one-was-erased-and-another-told-it-again"),
        pytest.param(("s1:plain",), "s1:plain", id="who-told-it-was-erased"),
        pytest.param(("c1:plain",), "c1:plain", id="nobody-was-erased"),
        pytest.param((), "c1:cycle", id="nobody-told-it-plainly"),
    ],
)
def test_all_that_told_an_order_without_its_cycle_count_with_it(observed: tuple[str, ...], credited: str) -> None:
    orders = _orders("c1:cycle", plains=("c1:plain", "s1:plain"))
    said = {"c1:cycle": [_said("c1:cycle", kind=2)], "c1:plain": [_said("c1:plain", rank=_BROWSER)]}
    staged = {one: _staged(one) for one in ("c1:cycle", *observed)}
    assert orders.told(set(staged), said, {}, staged) == {
        "c1:cycle": ToldOrder(credited, is_merged=False, is_void=False, takes_place=True),
        **{one: ToldOrder(credited, is_merged=True, is_void=False, takes_place=False) for one in observed},
    }


@pytest.mark.parametrize(
    ("rank", "credited"),
    [pytest.param(_BROWSER, "s1:cycle", id="nearer-to-the-buyer"), pytest.param(_BACKEND, "s1:plain", id="no-nearer")],
)
def test_of_those_that_were_erased_the_credit_is_that_of_who_was_nearest_to_the_buyer(rank: int, credited: str) -> None:
    orders = _orders("s1:cycle", plains=("s1:plain",))
    told: dict[str, tuple[int, int, int, int]] = {"s1:plain": (5, 0, 4, _BACKEND), "s1:cycle": (3, 2, 5, rank)}
    left = {
        one: [StandIn(one, role, (_FAMILY,), "", kind, at, True, own)] for one, (role, kind, at, own) in told.items()
    }
    staged = {one: _staged(one, at) for one, (_, _, at, _) in told.items()}
    found = orders.told(set(staged), {}, left, staged)
    assert {one.credited for one in found.values()} == {credited}


@pytest.mark.parametrize(
    ("taken_back", "counts", "is_void"),
    [
        pytest.param((), "c1:a", False, id="the earliest"),
        pytest.param(("c1:a",), "c1:b", False, id="the next once that is taken back"),
        pytest.param(("c1:a", "c1:b"), "", True, id="none once all are"),
    ],
)
def test_of_several_first_cycles_one_takes_the_place_of_the_order(
    taken_back: tuple[str, ...], counts: str, *, is_void: bool
) -> None:
    said = {one: [_said(one, kind=2, at=at)] for one, at in (("c1:a", 4), ("c1:b", 5))}
    staged = {one: _staged(one, at, counted=one not in taken_back) for one, at in (("c1:a", 4), ("c1:b", 5))}
    staged["c1:plain"] = _staged("c1:plain", 3)
    told = _orders("c1:b", "c1:a").told(set(staged), said, {}, staged)
    assert [key for key, one in told.items() if one.takes_place] == [counts] * bool(counts)
    assert {key: one.is_void for key, one in told.items()} == {"c1:a": False, "c1:b": False, "c1:plain": is_void}


def test_what_is_said_of_an_order_is_said_of_its_only_first_cycle_and_shared_by_several() -> None:
    orders = _orders("c1:b", "c1:a", "c1:later", "c1:renewal")
    said = {
        "c1:a": [_said("c1:a", kind=2)],
        "c1:b": [_said("c1:b", kind=2, at=4)],
        "c1:renewal": [_said("c1:renewal", kind=3)],
    }
    assert (orders.lent(said), orders.several(said)) == ({}, [SeveralCycles(("c1:plain",), ["c1:b", "c1:a"])])
    del said["c1:b"]
    assert (orders.lent(said), orders.several(said)) == ({"c1:plain": "c1:a"}, [])
    left = {"s1:x": [StandIn("s1:x", 3, (_FAMILY,), "", 2, 4, decides=True, event_hash=1)]}
    erased = _orders("c1:a", "s1:x")
    assert (erased.lent(said, left), erased.several(said, left)) == (
        {},
        [SeveralCycles(("c1:plain",), ["s1:x", "c1:a"])],
    ), "what stands in for somebody has its part"
    assert _orders("s1:x").lent({}, left) == {}, "and changes no more"


def test_what_is_told_again_of_a_severed_cycle_is_nothing_to_the_others_of_its_order() -> None:
    said = {one: [_said(one, kind=2, at=at, rank=_BROWSER)] for one, at in (("c1:a", 4), ("c1:b", 5))}
    left = {"s1:a": [StandIn("s1:a", 3, (_FAMILY,), "", 2, 4, decides=True, event_hash=1)]}
    gone = {name for name in said if name == "c1:a"}
    every = [one for own in said.values() for one in own]
    orders = orders_of("w", every, [one for own in left.values() for one in own], gone.__contains__)
    [plain] = orders.plains[_FAMILY]
    assert orders.severed == gone
    assert (orders.lent(said, left), orders.several(said, left)) == (
        {},
        [
            SeveralCycles({plain}, ["s1:a", "c1:b"]),
            SeveralCycles({plain}, ["c1:a", "s1:a", "c1:b"], ["c1:a"]),
        ],
    )
    placed = {"c1:a": 4, "s1:a": 4, "c1:b": 5, plain: 6}
    staged = {one: _staged(one, at, counted=one not in gone) for one, at in placed.items()}
    told = orders.told(set(staged), said, left, staged)
    assert [key for key, one in told.items() if one.takes_place] == ["s1:a"]
    assert {one.credited for one in told.values()} == {"s1:a"}
    del left["s1:a"]
    alone = orders_of("w", every, [], gone.__contains__)
    assert alone.lent(said) == {plain: "c1:b"}
    told = alone.told(set(staged), said, {}, {one: staged[one] for one in ("c1:a", "c1:b", plain)})
    assert (told["c1:a"].credited, told["c1:b"].credited) == ("c1:a", "c1:b")
