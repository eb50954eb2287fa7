"""Single events over a running installation: nothing vanishes, everything is found again with its reason."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import grpc
import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from tests.support.eventually import eventually_async
from tests.support.stack import KeyedWorkspace, SharedStack
from tributary.dedup.v1.event_fate_pb2 import EventFate
from tributary.event.v1 import context_pb2, touchpoint_pb2, verdict_pb2
from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.identifiers_pb2 import Identifiers
from tributary.event.v1.verdict_pb2 import EventVerdict
from tributary.query.v1 import query_service_pb2 as contract
from tributary.query.v1 import query_service_pb2_grpc
from tributary_cli.command_line import cli
from tributary_client.aio import AsyncTributary
from tributary_runtime.channels import open_channel
from tributary_runtime.clock import SystemClock

if TYPE_CHECKING:
    Stub = query_service_pb2_grpc.QueryServiceAsyncStub  # the stubs' own name for it; not there when running

ACCEPTED = verdict_pb2.VERDICT_ACCEPTED
CONFLICT = verdict_pb2.VERDICT_CONFLICT
REJECTED = verdict_pb2.VERDICT_REJECTED
QUARANTINED = verdict_pb2.VERDICT_QUARANTINED
NOW = SystemClock().now()
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
BOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
EMAIL = "canary.of.events@example.com"


@dataclass
class Live:
    """A workspace of a running installation, from both sides."""

    client: AsyncTributary
    query: Stub

    async def send(self, *events: Event) -> list[EventVerdict]:
        return list(await self.client.ingest(events))


@pytest.fixture
async def live(stack: SharedStack, keyed_workspace: KeyedWorkspace) -> AsyncIterator[Live]:
    client = AsyncTributary(stack.addresses["ingestion"], api_key=keyed_workspace.api_key)
    key = SecretStr(keyed_workspace.api_key)
    async with client, open_channel(stack.addresses["query"], api_key=key) as channel:
        yield Live(client, query_service_pb2_grpc.QueryServiceStub(channel))


def a_touchpoint(event_id: str, *, agent: str = BROWSER, days_ago: int = 0, page: str = "/", email: str = "") -> Event:
    event = Event(event_id=event_id, identifiers=Identifiers(visitor_id="anna", email=email))
    event.event_time.FromDatetime(NOW - timedelta(days=days_ago, minutes=1))
    event.context.user_agent = agent
    event.context.page_url = f"https://shop.example{page}"
    event.context.observed_by = context_pb2.OBSERVER_BROWSER
    event.touchpoint.kind = touchpoint_pb2.TOUCHPOINT_KIND_VISIT
    return event


async def test_every_refused_event_is_found_again_with_its_reason_and_without_personal_data(
    live: Live, stack: SharedStack, keyed_workspace: KeyedWorkspace
) -> None:
    await live.send(
        a_touchpoint("same"), a_touchpoint("old", days_ago=100, email=EMAIL), a_touchpoint("same", page="/x")
    )

    async def both() -> list[contract.ListRefusalsResponse]:
        answer = await live.query.ListRefusals(contract.ListRefusalsRequest())
        assert len(answer.refusals) == 2
        return [answer]

    (answer,) = await eventually_async(both)
    found = {refusal.event_id: refusal for refusal in answer.refusals}
    assert found["same"].verdict == CONFLICT
    assert found["same"].reasons[0].code == verdict_pb2.REASON_CODE_PAYLOAD_DIFFERS
    assert found["same"].event.context.page_url == "https://shop.example/x"
    assert found["old"].verdict == REJECTED
    assert found["old"].reasons[0].code == verdict_pb2.REASON_CODE_EVENT_TIME_OUT_OF_WINDOW
    assert found["old"].reasons[0].field == "event_time"
    assert len(found["old"].payload_digest) == 9
    assert found["old"].api_key_id
    assert EMAIL.encode() not in answer.SerializeToString()

    command = ["refusals", "list", "--target", stack.addresses["query"], "--api-key", keyed_workspace.api_key]
    for options, listed in (
        ([], ["same", "old"]),
        (["--reason", "event_time_out_of_window", "--since", "2020-01-01"], ["old"]),
        (["--verdict", "conflict"], ["same"]),
        (["old"], ["old"]),
        (["--limit", "1"], [answer.refusals[0].event_id]),
        (["--until", "2020-01-01"], []),
    ):
        told = await asyncio.to_thread(CliRunner().invoke, cli, [*command, *options, "--json"])
        assert [refusal["event_id"] for refusal in json.loads(told.output)] in (listed, listed[::-1]), told.output
    told = await asyncio.to_thread(CliRunner().invoke, cli, [*command, "old"])
    assert "REJECTED  old  touchpoint  EVENT_TIME_OUT_OF_WINDOW event_time: Older than" in told.output
    told = await asyncio.to_thread(CliRunner().invoke, cli, [*command, "--reason", "ODD"])
    assert (told.exit_code, "'ODD' is no reason" in told.output) == (2, True)


async def test_an_id_that_is_an_address_is_found_by_what_was_sent(live: Live) -> None:
    await live.send(a_touchpoint("anna@shop.example"), a_touchpoint(EMAIL, days_ago=100))
    ids = ["anna@shop.example", EMAIL, "nobody@shop.example"]

    async def recorded() -> list[EventFate]:
        answer = await live.query.LookupEvents(contract.LookupEventsRequest(event_ids=ids))
        assert answer.fates[0].kind
        assert answer.fates[1].refusals
        return list(answer.fates)

    fates = await eventually_async(recorded)
    assert [fate.event_id for fate in fates] == ids
    assert [fate.verdict for fate in fates] == [ACCEPTED, REJECTED, verdict_pb2.VERDICT_UNSPECIFIED]
    answer = await live.query.ListRefusals(contract.ListRefusalsRequest(event_ids=ids))
    assert len(answer.refusals) == 1
    assert EMAIL.encode() not in answer.SerializeToString()


async def test_an_order_is_found_by_the_id_of_its_event_that_is_an_address(live: Live) -> None:
    order = Event(event_id="anna@shop.example", identifiers=Identifiers(customer_id="anna"))
    order.event_time.FromDatetime(NOW - timedelta(minutes=1))
    order.conversion.name, order.conversion.order_id = "purchase", "o-1"
    (verdict,) = await live.send(order)

    async def found() -> list[str]:
        try:
            got = await live.query.GetConversion(contract.GetConversionRequest(event_id="anna@shop.example"))
            why = await live.query.ExplainConversion(contract.ExplainConversionRequest(event_id="anna@shop.example"))
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return []  # not yet
            raise
        return [got.newest.state.conversion_id, why.newest.state.conversion_id]

    assert await eventually_async(found) == [verdict.conversion_id] * 2


async def test_an_id_that_is_too_long_is_found_by_what_its_verdict_says(live: Live) -> None:
    (verdict,) = await live.send(a_touchpoint("7" * 300))
    ids = [verdict.event_id, "7" * 300, "7" * 128]

    async def recorded() -> list[EventFate]:
        answer = await live.query.LookupEvents(contract.LookupEventsRequest(event_ids=ids))
        assert answer.fates[0].refusals
        return list(answer.fates)

    fates = await eventually_async(recorded)
    assert [fate.event_id for fate in fates] == ids
    assert [fate.verdict for fate in fates] == [REJECTED, REJECTED, verdict_pb2.VERDICT_UNSPECIFIED]


async def test_refusals_are_found_by_reason_verdict_time_and_id(live: Live) -> None:
    await live.send(a_touchpoint("same"), a_touchpoint("old", days_ago=100), a_touchpoint("same", page="/x"))

    async def ids(**wanted: object) -> list[str]:
        answer = await live.query.ListRefusals(contract.ListRefusalsRequest(**wanted))  # type: ignore[arg-type]
        return [refusal.event_id for refusal in answer.refusals]

    async def all_there() -> None:
        assert sorted(await ids()) == ["old", "same"]

    await eventually_async(all_there)
    assert await ids(verdict=CONFLICT) == ["same"]
    assert await ids(reason_codes=[verdict_pb2.REASON_CODE_EVENT_TIME_OUT_OF_WINDOW]) == ["old"]
    assert await ids(event_ids=["old", "nobody"]) == ["old"]
    request = contract.ListRefusalsRequest()
    request.time_range.start_time.FromDatetime(NOW - timedelta(days=3))
    request.time_range.end_time.FromDatetime(NOW - timedelta(days=2))
    assert not (await live.query.ListRefusals(request)).refusals


async def test_pages_of_refusals_join_to_all_of_them(live: Live) -> None:
    sent = [f"old-{number}" for number in range(7)]
    await live.send(*[a_touchpoint(event_id, days_ago=100) for event_id in sent])

    async def pages() -> list[list[str]]:
        request, found = contract.ListRefusalsRequest(page_size=3), []
        while True:
            page = await live.query.ListRefusals(request)
            found.append([refusal.event_id for refusal in page.refusals])
            if not page.next_page_token:
                assert sum(map(len, found)) == 7
                return found
            request.page_token = page.next_page_token

    found = await eventually_async(pages)
    assert [len(page) for page in found] == [3, 3, 1]
    assert sorted(event_id for page in found for event_id in page) == sent


async def test_every_quarantined_event_is_found_again_with_its_reason(live: Live) -> None:
    verdicts = await live.send(*[a_touchpoint(f"bot-{n}", agent=BOT) for n in range(3)], a_touchpoint("good"))
    assert [verdict.verdict for verdict in verdicts] == [QUARANTINED] * 3 + [ACCEPTED]

    async def pages() -> list[str]:
        request, found = contract.ListQuarantinedEventsRequest(page_size=2), []
        while True:
            page = await live.query.ListQuarantinedEvents(request)
            found += [event.event_id for event in page.events]
            for event in page.events:
                assert event.reasons[0].code == verdict_pb2.REASON_CODE_BOT_USER_AGENT
                assert event.identity_tokens
                assert event.HasField("accept_time")
            if not page.next_page_token:
                assert len(found) == 3
                return found
            request.page_token = page.next_page_token

    assert sorted(await eventually_async(pages)) == ["bot-0", "bot-1", "bot-2"]
    named = contract.ListQuarantinedEventsRequest(event_ids=["bot-1", "good"])
    assert [event.event_id for event in (await live.query.ListQuarantinedEvents(named)).events] == ["bot-1"]
    other = contract.ListQuarantinedEventsRequest(reason_codes=[verdict_pb2.REASON_CODE_VELOCITY])
    assert not (await live.query.ListQuarantinedEvents(other)).events


async def test_another_workspaces_events_are_never_found(live: Live, stack: SharedStack) -> None:
    await live.send(a_touchpoint("mine"))
    key = SecretStr(stack.take_workspace().api_key)
    async with open_channel(stack.addresses["query"], api_key=key) as channel:
        stub: Stub = query_service_pb2_grpc.QueryServiceStub(channel)
        answer = await stub.LookupEvents(contract.LookupEventsRequest(event_ids=["mine"]))
    assert answer.fates[0].verdict == verdict_pb2.VERDICT_UNSPECIFIED


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        pytest.param("LookupEvents", contract.LookupEventsRequest(), id="no id"),
        pytest.param("LookupEvents", contract.LookupEventsRequest(event_ids=["e"] * 1001), id="too many ids"),
        pytest.param("LookupEvents", contract.LookupEventsRequest(event_ids=[""]), id="an empty id"),
        pytest.param("ListRefusals", contract.ListRefusalsRequest(page_size=-1), id="a negative page"),
        pytest.param("ListRefusals", contract.ListRefusalsRequest(page_token="x"), id="no token of ours"),
        pytest.param("ListRefusals", contract.ListRefusalsRequest(verdict=ACCEPTED), id="a verdict of no refusal"),
        pytest.param("ListQuarantinedEvents", contract.ListQuarantinedEventsRequest(page_token="x"), id="no token"),
    ],
)
async def test_what_cannot_be_answered_is_refused(live: Live, method: str, request_: object) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await getattr(live.query, method)(request_)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_the_command_line_says_what_became_of_ids(
    live: Live, stack: SharedStack, keyed_workspace: KeyedWorkspace
) -> None:
    await live.send(a_touchpoint("good"), a_touchpoint("bot", agent=BOT))
    options = ["--target", stack.addresses["query"], "--api-key", keyed_workspace.api_key]
    text = CliRunner().invoke(cli, ["lookup", "good", "bot", "nobody", *options]).output
    assert [line.split()[:2] for line in text.splitlines()] == [
        ["good", "ACCEPTED"],
        ["bot", "QUARANTINED"],
        ["nobody", "UNKNOWN"],
    ]
    told = json.loads(
        CliRunner().invoke(cli, ["lookup", "-", "--json", *options], input="good\r\nbot\n\n bot\n").output
    )
    assert [fate.get("verdict") for fate in told] == ["VERDICT_ACCEPTED", "VERDICT_QUARANTINED", None]
    assert told[2]["event_id"] == " bot", "blanks are part of an id"
