"""Shops send every order twice on purpose, from the browser and from the backend: it is one conversion."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.support.shop import EURO, Shop, a_visit, an_order, causes, credit, named, reasons
from tributary.event.v1.context_pb2 import OBSERVER_BACKEND, OBSERVER_BROWSER
from tributary.event.v1.event_pb2 import TRAFFIC_INTERNAL, TRAFFIC_TEST, Event, Traffic

MERGED = ("MERGED_OBSERVATION", "")


def _of_browser(event_id: str = "from-browser") -> Event:
    return an_order("1001", 119 * EURO, by=OBSERVER_BROWSER, visitor_id="v-1", event_id=event_id)


def _of_backend(event_id: str = "from-backend") -> Event:
    ago = timedelta(minutes=59)
    return an_order("1001", 100 * EURO, by=OBSERVER_BACKEND, ago=ago, customer_id="c-1", event_id=event_id)


@pytest.mark.parametrize("backwards", [pytest.param(False, id="browser-first"), pytest.param(True, id="backend-first")])
def test_browser_and_backend_make_one_conversion_with_the_backends_value(shop: Shop, backwards: bool) -> None:
    observations = [_of_browser(), _of_backend()]
    if backwards:
        observations.reverse()
    shop.accept(a_visit(timedelta(hours=3), visitor_id="v-1", event_id="touch"))
    (first,) = shop.accept(observations[0])
    shop.wait(lambda: shop.order("1001"))
    (second,) = shop.send(observations[1])

    assert (named(second), reasons(second)) == ("DUPLICATE", [MERGED])
    assert second.conversion_id == first.conversion_id != ""
    shop.wait_for_value("1001", 100 * EURO)

    def merged() -> None:
        found = shop.order("1001")
        state = found.newest.state
        assert list(state.observation_event_ids) == ["from-browser", "from-backend"]  # in event order
        assert credit(state, "last_touch") == {"touch": (1_000_000, 100 * EURO)}
        assert causes(found)[0] == "INITIAL"
        assert "OBSERVATION_MERGED" in causes(found)

    shop.wait(merged)
    newest = shop.order("1001").newest

    def one_person() -> None:  # two reads are of two moments: not before all has been applied are they the same
        by_customer = shop.journey(identifiers={"customer_id": "c-1"})
        assert by_customer.person_id == newest.state.person_id
        assert by_customer == shop.journey(identifiers={"visitor_id": "v-1"})

    shop.wait(one_person)
    assert shop.inbox.effects().get(newest.state.conversion_id, 0) <= 1
    webhooks = shop.wait_for_webhooks(newest.state.conversion_id, newest.revision)
    assert webhooks[0].type == "conversion.created"
    assert webhooks[-1].data["value"] == {"currency_code": "EUR", "amount_micros": 100 * EURO}
    shop.wait_until_settled()
    assert shop.inbox.effects()[newest.state.conversion_id] == 1


def test_both_observations_in_one_call_are_one_conversion(shop: Shop) -> None:
    verdicts = shop.send(_of_browser(), _of_backend())
    assert sorted(named(verdict) for verdict in verdicts) == ["ACCEPTED", "DUPLICATE"]
    found = shop.wait_for_value("1001", 100 * EURO)
    assert len(found.newest.state.observation_event_ids) == 2


def test_a_third_observation_of_the_same_rank_and_value_is_merged_too(shop: Shop) -> None:
    shop.accept(_of_backend())
    (verdict,) = shop.send(_of_backend("from-the-erp"))
    assert (named(verdict), reasons(verdict)) == ("DUPLICATE", [MERGED])
    shop.wait_until_settled()
    assert len(shop.order("1001").newest.state.observation_event_ids) == 2


def test_another_value_of_the_same_rank_is_a_conflict_and_changes_nothing(shop: Shop) -> None:
    shop.accept(_of_backend())
    other = an_order("1001", 101 * EURO, customer_id="c-1")
    (verdict,) = shop.send(other)
    assert (named(verdict), reasons(verdict)) == ("CONFLICT", [("ORDER_VALUE_DIFFERS", "conversion.value")])
    shop.wait_until_settled()
    found = shop.order("1001")
    assert found.newest.state.value.amount_micros == 100 * EURO
    assert len(found.revisions) == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param({"order_id": "000001"}, {"order_id": "1"}, id="leading-zeros"),
        pytest.param({"order_id": "A-7"}, {"order_id": "a-7"}, id="case"),
        pytest.param({"order_id": "7", "store": "de"}, {"order_id": "7", "store": "at"}, id="store"),
        pytest.param({"order_id": "7", "name": "purchase"}, {"order_id": "7", "name": "signup"}, id="name"),
    ],
)
def test_orders_that_differ_in_one_part_of_their_key_are_two(
    shop: Shop, first: dict[str, str], second: dict[str, str]
) -> None:
    verdicts = shop.accept(an_order(micros=10 * EURO, **first), an_order(micros=20 * EURO, **second))
    assert verdicts[0].conversion_id != verdicts[1].conversion_id
    shop.wait_for_value(micros=10 * EURO, **first)
    shop.wait_for_value(micros=20 * EURO, **second)


def test_each_cycle_of_a_subscription_is_an_order(shop: Shop) -> None:
    cycles = []
    for cycle in ("1", "2"):
        event = an_order("sub-1", int(cycle) * EURO, customer_id="c-1")
        event.conversion.recurrence.subscription_id = "sub-1"
        event.conversion.recurrence.cycle, event.conversion.recurrence.kind = cycle, 2 if cycle == "1" else 3
        cycles.append(event)
    first, second = shop.accept(*cycles)
    assert first.conversion_id != second.conversion_id
    shop.wait_for_value("sub-1", 1 * EURO, cycle="1")
    shop.wait_for_value("sub-1", 2 * EURO, cycle="2")


def test_an_event_id_sent_again_with_another_order_id_is_a_conflict(shop: Shop) -> None:
    shop.accept(an_order("1", customer_id="c-1", event_id="e"))
    (verdict,) = shop.send(an_order("2", customer_id="c-1", event_id="e"))
    assert (named(verdict), reasons(verdict)) == ("CONFLICT", [("PAYLOAD_DIFFERS", "event_id")])
    shop.wait_until_settled()
    with pytest.raises(AssertionError, match="not there"):
        shop.order("2")


def test_an_event_sent_again_with_another_time_is_a_duplicate(shop: Shop) -> None:
    (first,) = shop.accept(_of_backend())
    again = _of_backend()
    again.event_time.seconds += 60
    (verdict,) = shop.send(again)
    assert (named(verdict), reasons(verdict)) == ("DUPLICATE", [])
    assert (verdict.first_verdict, verdict.conversion_id) == (first.verdict, first.conversion_id)
    assert abs(verdict.first_accept_time.seconds - first.first_accept_time.seconds) <= 128
    shop.wait_until_settled()
    assert len(shop.order("1001").revisions) == 1


@pytest.mark.parametrize("traffic", [TRAFFIC_TEST, TRAFFIC_INTERNAL], ids=["test", "internal"])
@pytest.mark.parametrize("backwards", [False, True])
def test_traffic_that_never_counts_holds_no_order_against_a_real_one(
    shop: Shop, traffic: Traffic.ValueType, backwards: bool
) -> None:
    rehearsal = an_order("1001", 10 * EURO, customer_id="c-1", ago=timedelta(hours=2))
    rehearsal.traffic = traffic
    both = [rehearsal, an_order("1001", 20 * EURO, customer_id="c-1")]
    for event in reversed(both) if backwards else both:
        shop.accept(event)
    shop.wait_for_value("1001", 20 * EURO)
    shop.wait_until_settled()
    state = shop.order("1001").newest.state
    assert (state.value.amount_micros, state.counted) == (20 * EURO, True)
