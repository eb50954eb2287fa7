"""Credit depends on when things happened, never on when we were told. The answers here were computed by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import grpc
import pytest
import xxhash
from redis import Redis

from tests.support.shop import (
    BOT,
    EURO,
    MAIL,
    MICRO,
    PAID,
    Shop,
    a_visit,
    an_order,
    causes,
    credit,
    named,
    reasons,
)
from tributary.attribution.v1.conversion_pb2 import ConversionState
from tributary.event.v1.identifiers_pb2 import Identifiers
from tributary_cli.stack.stack import Stack

SOLD = timedelta(hours=1)
"""How long ago orders were placed, unless a test says otherwise."""
LOOKBACK = timedelta(days=30)
SOCIAL = "https://shop.example/?utm_source=facebook&utm_medium=paid_social"
MODELS = ("first_touch", "last_touch", "last_non_direct", "linear", "position_based", "time_decay")
WHOLE = 1_000_000


def _check_sums(state: ConversionState) -> None:
    """Asserts promise 4, for every model."""
    assert [applied.name for applied in state.models] == [*MODELS, "data_driven"]
    for model in (*MODELS, "data_driven"):
        shares = credit(state, model).values()
        assert sum(share for share, _ in shares) == WHOLE, model
        assert sum(value for _, value in shares) == state.value.amount_micros, model


def _settled_state(shop: Shop, order_id: str = "o") -> ConversionState:
    shop.wait_until_settled()
    state = shop.order(order_id).newest.state
    _check_sums(state)
    return state


@pytest.fixture(scope="module")
def edges(take_shop: Callable[[], Shop]) -> Shop:
    """A shop with one person, one touch and one order per case of the edges."""
    shop = take_shop()
    events = []
    for name, (ago, _) in EDGES.items():
        who = {"visitor_id": f"v-{name}"}
        events += [a_visit(ago, event_id=f"t-{name}", **who), an_order(name, event_id=f"c-{name}", **who)]
    shop.accept(*events, backfill=True)
    shop.wait_until_settled()
    return shop


EDGES = {
    "1-us-before-the-window": (SOLD + LOOKBACK + MICRO, "OUTSIDE_WINDOW"),
    "at-the-start-of-the-window": (SOLD + LOOKBACK, ""),
    "1-us-into-the-window": (SOLD + LOOKBACK - MICRO, ""),
    "1-us-before-the-conversion": (SOLD + MICRO, ""),
    "with-the-conversion": (SOLD, ""),
    "1-us-after-the-conversion": (SOLD - MICRO, ""),  # up to 2 s after it, in its session
    "2-s-after-the-conversion": (SOLD - timedelta(seconds=2), ""),
    "2-s-and-1-us-after-the-conversion": (SOLD - timedelta(seconds=2) - MICRO, "NO_TOUCHPOINT"),
    "a-minute-after-the-conversion": (SOLD - timedelta(minutes=1), "NO_TOUCHPOINT"),
}


@pytest.mark.parametrize("name", EDGES)
def test_a_touch_counts_from_the_start_of_the_window_to_the_conversion(edges: Shop, name: str) -> None:
    _, reason = EDGES[name]
    state = edges.order(name).newest.state
    _check_sums(state)
    for model in MODELS:
        assert credit(state, model) == {reason or f"t-{name}": (WHOLE, 100 * EURO)}


@pytest.mark.parametrize(
    ("sold", "backfill"),
    [
        pytest.param(timedelta(seconds=1), False, id="1-s"),
        pytest.param(timedelta(hours=1), False, id="1-h"),
        pytest.param(timedelta(days=20), False, id="20-days"),
        pytest.param(timedelta(days=40), True, id="40-days-by-backfill"),
    ],
)
def test_a_touch_that_comes_late_revises_the_conversion_it_led_to(shop: Shop, sold: timedelta, backfill: bool) -> None:
    on_time, late = sold + timedelta(hours=2), sold + timedelta(hours=5)
    who = {"visitor_id": "v"}
    shop.accept(a_visit(on_time, MAIL, event_id="on-time", **who), an_order("o", ago=sold, **who), backfill=backfill)
    before = _settled_state(shop)
    assert credit(before, "linear") == {"on-time": (WHOLE, 100 * EURO)}

    shop.accept(a_visit(late, PAID, event_id="late", **who), backfill=backfill)
    state = _settled_state(shop)
    assert credit(state, "first_touch") == {"late": (WHOLE, 100 * EURO)}
    assert credit(state, "last_touch") == {"on-time": (WHOLE, 100 * EURO)}
    assert credit(state, "linear") == {
        "late": (500_000, 50 * EURO),
        "on-time": (500_000, 50 * EURO),
    }
    found = shop.order("o")
    assert causes(found) == ["INITIAL", "LATE_TOUCHPOINT"]
    assert list(found.newest.causing_event_ids) == ["late"]
    webhooks = shop.wait_for_webhooks(state.conversion_id, found.newest.revision)
    assert [webhook.type for webhook in webhooks] == ["conversion.created", "attribution.updated"]
    assert webhooks[-1].data["causes"] == ["late_touchpoint"]


def expire(stack: Stack, shop: Shop, visitor_id: str) -> None:
    """Lets the journey of a visitor expire, as it does when nothing comes within its life."""
    person_id = shop.journey(identifiers=Identifiers(visitor_id=visitor_id)).person_id
    with Redis.from_url(stack.redis.url) as state:
        [key] = state.scan_iter(match=f"trb:*:journey:{person_id}")
        state.delete(key)
    with pytest.raises(grpc.RpcError):
        shop.journey(identifiers=Identifiers(visitor_id=visitor_id))


def test_an_order_that_comes_40_days_late_finds_what_led_to_it_though_its_journey_expired(
    shop: Shop, street_stack: Stack
) -> None:
    sold, who = timedelta(days=40), {"visitor_id": "v"}
    shop.accept(
        a_visit(timedelta(days=68), MAIL, event_id="first", **who),
        a_visit(timedelta(days=60), PAID, event_id="second", **who),
        backfill=True,
    )
    shop.wait_until_settled()
    expire(street_stack, shop, "v")
    shop.accept(an_order("o", ago=sold, **who))
    state = _settled_state(shop)
    assert credit(state, "linear") == {"first": (500_000, 50 * EURO), "second": (500_000, 50 * EURO)}
    assert causes(shop.order("o")) == ["INITIAL"]


def test_a_touch_that_is_backfilled_finds_the_conversion_it_led_to_though_its_journey_expired(
    shop: Shop, street_stack: Stack
) -> None:
    sold, who = timedelta(days=100), {"visitor_id": "v"}
    shop.accept(
        a_visit(sold + timedelta(days=1), MAIL, event_id="known", **who),
        an_order("o", ago=sold, **who),
        backfill=True,
    )
    _settled_state(shop)
    expire(street_stack, shop, "v")
    shop.accept(a_visit(sold + timedelta(days=20), PAID, event_id="late", **who), backfill=True)
    state = _settled_state(shop)
    assert credit(state, "linear") == {"late": (500_000, 50 * EURO), "known": (500_000, 50 * EURO)}
    found = shop.order("o")
    assert causes(found) == ["INITIAL", "LATE_TOUCHPOINT"]
    assert list(found.newest.causing_event_ids) == ["late"]


def test_a_touch_older_than_the_accept_window_is_refused_without_backfill(shop: Shop) -> None:
    old = a_visit(timedelta(days=40), visitor_id="v")
    (verdict,) = shop.send(old)
    assert (named(verdict), reasons(verdict)) == ("REJECTED", [("EVENT_TIME_OUT_OF_WINDOW", "event_time")])


def test_a_late_touch_outside_the_window_changes_nothing(shop: Shop) -> None:
    shop.accept(an_order("o", visitor_id="v"))
    _settled_state(shop)
    shop.accept(a_visit(SOLD + LOOKBACK + MICRO, visitor_id="v"), backfill=True)
    assert set(credit(_settled_state(shop), "linear")) == {"OUTSIDE_WINDOW"}  # known now, and still no credit


@pytest.mark.parametrize("backwards", [False, True], ids=["as-it-was", "backwards"])
def test_touches_at_the_same_moment_are_ordered_by_the_hash_of_their_ids(shop: Shop, backwards: bool) -> None:
    ago = timedelta(hours=3)
    visits = [
        a_visit(ago, page, visitor_id="v", event_id=event_id)
        for event_id, page in [("one", PAID), ("two", MAIL), ("three", SOCIAL)]
    ]
    for visit in reversed(visits) if backwards else visits:
        shop.accept(visit)
    shop.accept(an_order("o", visitor_id="v"))
    state = _settled_state(shop)
    first, middle, last = sorted(
        ["one", "two", "three"], key=lambda event_id: xxhash.xxh64_intdigest(event_id.encode())
    )
    assert set(credit(state, "first_touch")) == {first}
    assert set(credit(state, "last_touch")) == {last}
    assert credit(state, "position_based") == {
        first: (400_000, 40 * EURO),
        middle: (200_000, 20 * EURO),
        last: (400_000, 40 * EURO),
    }


def _three_touches(visitor: str) -> list[tuple[timedelta, str, str]]:
    return [
        (timedelta(hours=9), PAID, f"first-{visitor}"),
        (timedelta(hours=6), MAIL, f"second-{visitor}"),
        (timedelta(hours=3), SOCIAL, f"third-{visitor}"),
    ]


AMOUNTS = {
    "zero": ("EUR", 0, [0, 0, 0]),
    "one-micro": ("EUR", 1, [1, 0, 0]),
    "two-micros": ("EUR", 2, [1, 1, 0]),
    "no-decimals": ("JPY", 1_000_000_000, [333_333_334, 333_333_333, 333_333_333]),
    "three-decimals": ("KWD", 1_234_000, [411_334, 411_333, 411_333]),
    "much": ("VND", 2**53 + 1, [3_002_399_751_580_331, 3_002_399_751_580_331, 3_002_399_751_580_331]),
}


@pytest.fixture(scope="module")
def amounts(take_shop: Callable[[], Shop]) -> Shop:
    """A shop with one person, three touches and one order per amount."""
    shop = take_shop()
    for name, (currency, micros, _) in AMOUNTS.items():
        who = {"visitor_id": name}
        visits = [a_visit(ago, page, event_id=event_id, **who) for ago, page, event_id in _three_touches(name)]
        shop.accept(*visits, an_order(name, micros, currency=currency, **who))
    shop.wait_until_settled()
    return shop


@pytest.mark.parametrize("name", AMOUNTS)
def test_an_amount_is_split_to_the_last_micro(amounts: Shop, name: str) -> None:
    currency, micros, split = AMOUNTS[name]
    found = amounts.order(name)
    state = found.newest.state
    _check_sums(state)
    assert (state.value.currency_code, state.value.amount_micros) == (currency, micros)
    ids = [event_id for *_, event_id in _three_touches(name)]
    shares = dict(zip(ids, zip([333_334, 333_333, 333_333], split, strict=True), strict=True))
    assert credit(state, "linear") == shares
    assert credit(state, "last_touch") == {ids[2]: (WHOLE, micros)}
    webhook = amounts.wait_for_webhooks(state.conversion_id, found.newest.revision)[-1]
    assert webhook.data["value"] == {"currency_code": currency, "amount_micros": micros}
    assert [row["value_micros"] for row in webhook.data["attribution"]["linear"]] == split


def test_a_conversion_without_value_has_credit_and_no_money(shop: Shop) -> None:
    shop.accept(a_visit(timedelta(hours=3), visitor_id="v", event_id="t"), an_order("o", None, visitor_id="v"))
    state = _settled_state(shop)
    assert credit(state, "linear") == {"t": (WHOLE, 0)}
    assert state.value.currency_code == ""


def test_what_nobody_earned_says_why(shop: Shop) -> None:
    shop.accept(an_order("no-touch", visitor_id="alone"))
    (bot,) = shop.send(a_visit(timedelta(hours=3), visitor_id="bot", agent=BOT))
    assert named(bot) == "QUARANTINED"
    shop.accept(an_order("only-quarantined", visitor_id="bot"))
    shop.accept(an_order("before", visitor_id="late"), a_visit(timedelta(minutes=30), visitor_id="late"))
    for order_id, reason in [
        ("no-touch", "NO_TOUCHPOINT"),
        ("only-quarantined", "ONLY_QUARANTINED"),
        ("before", "NO_TOUCHPOINT"),
    ]:
        state = _settled_state(shop, order_id)
        for model in MODELS:
            assert credit(state, model) == {reason: (WHOLE, 100 * EURO)}, order_id
