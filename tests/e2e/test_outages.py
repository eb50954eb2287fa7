"""When a part is out, callers are told so at once, and afterwards everything is as if it had never been out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TypeVar

import grpc
import pytest

from tests.support.eventually import eventually
from tests.support.inbox import running_inbox
from tests.support.shop import CALL_SECONDS, EURO, Shop, a_visit, an_event, an_order, credit, named, open_shop
from tests.support.stack import running_stack
from tests.support.statuses import Failure, failure_of
from tributary.event.v1.event_pb2 import Event
from tributary.query.v1.query_service_pb2 import GetIntegrityRequest, QueryReportRequest
from tributary.query.v1.report_pb2 import METRIC_CONVERSIONS
from tributary_cli.stack.stack import Stack

T = TypeVar("T")

SOON_SECONDS = 15.0
"""How long a caller may have to wait to be told that a part is out, on a machine as busy as may be."""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, Shop]]:
    """An installation of these tests' own: they kill its parts, and bring them back."""
    with running_inbox() as inbox:
        settings = {"shop": {"destinations": [inbox.destination("purchase")]}}
        with (
            running_stack(tmp_path_factory.mktemp("outages"), settings) as (stack, keyed),
            open_shop(stack.addresses, keyed["shop"], inbox) as shop,
        ):
            yield stack, shop


def _sale(number: int, outage: str) -> list[Event]:
    who = {"visitor_id": f"v-{outage}-{number}"}
    order_id = f"{outage}-{number}"
    visit = a_visit(timedelta(hours=2), event_id=f"t-{order_id}", **who)
    return [visit, an_order(order_id, 10 * EURO, event_id=f"c-{order_id}", **who)]


def _fails_soon(call: Callable[[], object]) -> Failure:
    """Returns how a call fails, which it must do quickly."""
    started = time.monotonic()
    with pytest.raises(grpc.RpcError) as raised:
        call()
    failure = failure_of(raised.value)
    assert time.monotonic() - started < SOON_SECONDS, failure
    return failure


def _check_unavailable(failure: Failure) -> None:
    assert failure.code == "UNAVAILABLE", failure
    assert failure.retry_seconds, failure
    assert [info.domain for info in failure.infos] == ["tributary"], failure


def _answers_again(call: Callable[[], T]) -> T:
    """Makes a call until it has an answer."""

    def answered() -> T:
        try:
            return call()
        except grpc.RpcError as error:
            raise AssertionError(str(error)) from error

    return eventually(answered)


def _accepts_again(shop: Shop, events: list[Event]) -> list[str]:
    """Sends the same events until all are decided on; returns their verdicts."""

    def decided() -> list[str]:
        names = [named(verdict) for verdict in shop.send(*events)]
        assert "UNDECIDED" not in names
        return names

    return _answers_again(decided)


def _check_all_credited(shop: Shop, order_ids: list[str]) -> None:
    shop.wait_until_settled()  # and every promise that can be counted holds
    for order_id in order_ids:
        found = shop.order(order_id)
        assert credit(found.newest.state, "linear") == {f"t-{order_id}": (1_000_000, 10 * EURO)}
        shop.wait_for_webhooks(found.newest.state.conversion_id, found.newest.revision)
        assert shop.inbox.effects()[found.newest.state.conversion_id] == 1


def test_while_clickhouse_is_out_events_are_accepted_and_afterwards_everything_catches_up(
    own: tuple[Stack, Shop],
) -> None:
    stack, shop = own
    shop.accept(*_sale(0, "clickhouse"))
    shop.wait_until_settled()
    stack.kill("clickhouse")
    for number in range(1, 6):
        shop.accept(*_sale(number, "clickhouse"))
    failure = _fails_soon(lambda: shop.find(event_id="c-clickhouse-0"))
    _check_unavailable(failure)
    shop.accept(*_sale(6, "clickhouse"))
    stack.restart("clickhouse")
    _check_all_credited(shop, [f"clickhouse-{number}" for number in range(7)])


def test_while_redis_is_out_callers_are_told_at_once_and_nothing_acknowledged_is_lost(
    own: tuple[Stack, Shop],
) -> None:
    stack, shop = own
    acknowledged = _sale(0, "redis")
    shop.accept(*acknowledged)
    stack.kill("redis")
    refused = _sale(1, "redis")
    for _ in range(3):
        _check_unavailable(_fails_soon(lambda: shop.send(*refused)))
    _check_unavailable(_fails_soon(lambda: shop.journey(identifiers={"visitor_id": "v-redis-0"})))
    stack.restart("redis")
    assert _accepts_again(shop, refused) == ["ACCEPTED", "ACCEPTED"]
    assert _accepts_again(shop, acknowledged) == ["DUPLICATE", "DUPLICATE"]
    _check_all_credited(shop, ["redis-0", "redis-1"])


def test_a_redis_that_stands_still_is_told_like_one_that_is_gone(own: tuple[Stack, Shop]) -> None:
    stack, shop = own
    sale = _sale(0, "frozen")
    stack.redis.pause()
    try:
        try:
            verdicts = [named(verdict) for verdict in shop.send(*sale)]
        except grpc.RpcError as error:
            _check_unavailable(failure_of(error))  # not soon: it might still answer
        else:
            assert set(verdicts) == {"UNDECIDED"}
    finally:
        stack.redis.resume()
    assert set(_accepts_again(shop, sale)) <= {"ACCEPTED", "DUPLICATE"}
    _check_all_credited(shop, ["frozen-0"])


def test_while_dedup_is_out_callers_are_told_at_once(own: tuple[Stack, Shop]) -> None:
    stack, shop = own
    stack.kill("dedup")
    sale = _sale(0, "dedup")
    for _ in range(3):
        _check_unavailable(_fails_soon(lambda: shop.send(*sale)))
    stack.restart("dedup")
    assert _accepts_again(shop, sale) == ["ACCEPTED", "ACCEPTED"]
    _check_all_credited(shop, ["dedup-0"])


def test_while_attribution_is_out_journeys_are_unavailable_and_reports_answer(own: tuple[Stack, Shop]) -> None:
    stack, shop = own
    shop.accept(*_sale(0, "attribution"))
    shop.wait_until_settled()
    before = _reported(shop)
    stack.kill("attribution")
    for _ in range(3):
        _check_unavailable(_fails_soon(lambda: shop.journey(identifiers={"visitor_id": "v-attribution-0"})))
    assert _reported(shop) == before > 0
    assert shop.order("attribution-0").newest.state.counted
    shop.accept(*_sale(1, "attribution"))
    stack.restart("attribution")
    _check_all_credited(shop, ["attribution-0", "attribution-1"])
    _answers_again(lambda: shop.journey(identifiers={"visitor_id": "v-attribution-1"}))


def test_while_delivery_is_out_conversions_are_credited_and_afterwards_delivered(own: tuple[Stack, Shop]) -> None:
    stack, shop = own
    stack.kill("delivery")
    shop.accept(*_sale(0, "delivery"))
    found = shop.wait(lambda: shop.order("delivery-0"))
    assert not found.deliveries
    answer = shop.query.GetIntegrity(GetIntegrityRequest(), timeout=CALL_SECONDS, metadata=shop.metadata)
    assert answer.checks, "what delivery knows is missing, the rest is told"
    stack.restart("delivery")
    _check_all_credited(shop, ["delivery-0"])


def _reported(shop: Shop) -> int:
    request = QueryReportRequest(metrics=[METRIC_CONVERSIONS], model="linear")
    request.time_range.start_time.FromDatetime(an_event(timedelta(days=2)).event_time.ToDatetime())
    request.time_range.end_time.FromDatetime(an_event(timedelta(0)).event_time.ToDatetime())
    answer = shop.query.QueryReport(request, timeout=CALL_SECONDS, metadata=shop.metadata)
    return sum(row.metric_values[0].count_micros for row in answer.rows)
