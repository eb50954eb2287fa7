"""An operator lists, releases and rejects quarantined events of a running installation; the credit follows."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import grpc
import pytest
from click.testing import CliRunner, Result
from pydantic import SecretStr

from tests.support.eventually import eventually_async
from tests.support.stack import KeyedWorkspace, SharedStack
from tributary.attribution.v1.conversion_pb2 import REVISION_CAUSE_INITIAL, REVISION_CAUSE_QUARANTINE_RELEASE
from tributary.dedup.v1 import quarantine_pb2
from tributary.event.v1 import context_pb2, touchpoint_pb2, verdict_pb2
from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.identifiers_pb2 import Identifiers
from tributary.query.v1 import query_service_pb2 as contract
from tributary.query.v1 import query_service_pb2_grpc
from tributary_cli.command_line import cli
from tributary_client.aio import AsyncTributary
from tributary_runtime.channels import open_channel
from tributary_runtime.clock import SystemClock

if TYPE_CHECKING:
    Stub = query_service_pb2_grpc.QueryServiceAsyncStub  # the stubs' own name for it; not there when running

NOW = SystemClock().now()
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
BOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
RELEASE = quarantine_pb2.QUARANTINE_ACTION_RELEASE


@dataclass
class Live:
    """A workspace of a running installation, from all sides."""

    client: AsyncTributary
    query: Stub
    command: list[str]

    async def send(self, *events: Event) -> None:
        """Sends events, and waits until all of them are recorded."""
        await self.client.ingest(events)
        ids = [event.event_id for event in events]

        async def recorded() -> None:
            answer = await self.query.LookupEvents(contract.LookupEventsRequest(event_ids=ids))
            assert all(fate.kind for fate in answer.fates)

        await eventually_async(recorded)

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(cli, ["quarantine", *arguments, *self.command])


@pytest.fixture
async def live(stack: SharedStack, keyed_workspace: KeyedWorkspace) -> AsyncIterator[Live]:
    client = AsyncTributary(stack.addresses["ingestion"], api_key=keyed_workspace.api_key)
    key = SecretStr(keyed_workspace.api_key)
    command = ["--target", stack.addresses["query"], "--api-key", keyed_workspace.api_key]
    async with client, open_channel(stack.addresses["query"], api_key=key) as channel:
        yield Live(client, query_service_pb2_grpc.QueryServiceStub(channel), command)


def an_event(event_id: str, *, agent: str = BOT, hours_ago: int = 1) -> Event:
    event = Event(event_id=event_id, identifiers=Identifiers(visitor_id="anna"))
    event.event_time.FromDatetime(NOW - timedelta(hours=hours_ago))
    event.context.user_agent = agent
    event.context.observed_by = context_pb2.OBSERVER_BROWSER
    return event


def a_visit(event_id: str, *, agent: str = BOT, hours_ago: int = 2) -> Event:
    event = an_event(event_id, agent=agent, hours_ago=hours_ago)
    event.context.page_url = "https://shop.example/?utm_source=news&utm_medium=email"
    event.touchpoint.kind = touchpoint_pb2.TOUCHPOINT_KIND_VISIT
    return event


def an_order(event_id: str, *, agent: str = BOT) -> Event:
    event = an_event(event_id, agent=agent)
    event.conversion.name, event.conversion.order_id = "purchase", event_id
    event.conversion.value.currency_code, event.conversion.value.amount_micros = "EUR", 90_000_000
    return event


async def test_a_release_by_the_command_line_brings_credit_reasons_and_counts_in_line(live: Live) -> None:
    await live.send(a_visit("visit"), an_order("order"), an_order("other"))
    assert live.run("release", "visit", "order", "--why", "the customer called", "--dry-run").output.splitlines()[
        -1
    ] == ("Would be: 2 RELEASED.")
    told = live.run("release", "visit", "order", "--why", "the customer called")
    assert told.exit_code == 0, told.output
    assert [line.split()[:3] for line in told.output.splitlines()[:2]] == [
        ["visit", "RELEASED", "touchpoint"],
        ["order", "RELEASED", "conversion"],
    ]
    again = live.run("release", "order", "visit")
    assert (again.exit_code, again.output.splitlines()[-1]) == (0, "2 ALREADY_DECIDED.")
    request = contract.ExplainConversionRequest(event_id="order")

    async def credited() -> contract.ExplainConversionResponse:
        try:
            found = await live.query.ExplainConversion(request)
        except grpc.aio.AioRpcError as error:
            raise AssertionError("it is no conversion yet") from error
        assert [touch.source.source for touch in found.newest.state.touches] == ["news"]
        integrity = await live.query.GetIntegrity(contract.GetIntegrityRequest())
        assert all(check.settled and check.ok for check in integrity.checks), integrity
        assert (integrity.verdicts.accepted, integrity.verdicts.quarantined) == (2, 1)
        return await live.query.ExplainConversion(request)  # what was decided is recorded now as well

    found = await eventually_async(credited)
    assert found.newest.state.value.amount_micros == 90_000_000
    causes = {cause for revision in found.revisions for cause in revision.causes}
    assert causes == {REVISION_CAUSE_INITIAL, REVISION_CAUSE_QUARANTINE_RELEASE}
    assert sorted(decision.event_id for decision in found.quarantine_decisions) == ["order", "visit"]
    assert {decision.reason for decision in found.quarantine_decisions} == {"the customer called"}
    assert all(decision.decided_by for decision in found.quarantine_decisions)
    explained = CliRunner().invoke(cli, ["explain", "--event", "order", *live.command]).output
    assert "visit: release at" in explained
    looked_up = CliRunner().invoke(cli, ["lookup", "visit", *live.command]).output
    assert "ACCEPTED" in looked_up
    assert "RELEASE at" in looked_up


async def test_events_are_rejected_by_reason_and_then_wait_no_more(live: Live) -> None:
    await live.send(*[a_visit(f"bot-{number}", hours_ago=number) for number in range(1, 4)])
    request = contract.DecideQuarantinedEventsRequest(action=quarantine_pb2.QUARANTINE_ACTION_REJECT, page_size=2)
    request.reason_codes.append(verdict_pb2.REASON_CODE_BOT_USER_AGENT)
    first = await live.query.DecideQuarantinedEvents(request)
    assert [outcome.event_id for outcome in first.outcomes] == ["bot-1", "bot-2"]
    request.page_token = first.next_page_token
    second = await live.query.DecideQuarantinedEvents(request)
    assert [outcome.event_id for outcome in second.outcomes] == ["bot-3"]
    assert not second.next_page_token

    async def nothing_waits() -> None:
        assert json.loads(live.run("list", "--json").output) == []

    await eventually_async(nothing_waits)
    listed = json.loads(live.run("list", "--state", "rejected", "--json").output)
    assert [event["event_id"] for event in listed] == ["bot-1", "bot-2", "bot-3"]
    assert {event["decisions"][0]["action"] for event in listed} == {"QUARANTINE_ACTION_REJECT"}
    assert "REJECT by" in live.run("list", "bot-1", "--state", "all").output
    assert live.run("release", "--reason", "bot_user_agent").output == "Nothing waits that meets this.\n"
    told = live.run("release", "bot-1")
    assert (told.exit_code, told.output.splitlines()[-1]) == (0, "1 RELEASED.")


async def test_all_that_wait_or_those_of_a_name_are_released_after_they_were_shown(live: Live) -> None:
    await live.send(an_order("order"), a_visit("visit"), a_visit("old", hours_ago=24 * 20))
    assert live.run("release", "--all", "--dry-run").output.splitlines()[-1] == "Would be: 3 RELEASED."
    refused = live.run("release", "--all")  # nobody says yes
    assert (refused.exit_code, "Would be: 3 RELEASED." in refused.output) == (1, True)
    named = live.run("release", "--name", "purchase", "--yes")
    assert [line for line in named.output.splitlines() if "RELEASED" in line][-1] == "1 RELEASED."
    assert named.output.splitlines()[0].split()[:3] == ["order", "RELEASED", "conversion"]

    async def visits_wait_alone() -> None:
        assert [event["event_id"] for event in json.loads(live.run("list", "--json").output)] == ["visit", "old"]

    await eventually_async(visits_wait_alone)
    assert live.run("list", "--name", "purchase").output == "Nothing is quarantined that meets this.\n"
    rest = live.run("reject", "--all", "--yes")
    assert (rest.exit_code, rest.output.splitlines()[-1]) == (0, "2 REJECTED.")


async def test_what_cannot_be_decided_says_the_next_step_and_fails_the_command(live: Live) -> None:
    await live.send(a_visit("good", agent=BROWSER))
    told = live.run("release", "good", "nobody")
    assert told.exit_code == 1
    assert "1 NOT_FOUND, 1 NOT_QUARANTINED." in told.output
    assert "NOT_QUARANTINED: It counts" in told.output
    assert "NOT_FOUND: Nothing is recorded" in told.output
    both = live.run("reject", "good", "--reason", "bot_user_agent")
    assert both.exit_code == 2
    unknown = live.run("list", "--reason", "nonsense")
    assert unknown.exit_code == 2
    assert "is no reason" in unknown.output


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(contract.DecideQuarantinedEventsRequest(event_ids=["e"]), id="nothing to do"),
        pytest.param(contract.DecideQuarantinedEventsRequest(action=RELEASE), id="neither ids nor a filter"),
        pytest.param(
            contract.DecideQuarantinedEventsRequest(
                action=RELEASE, event_ids=["e"], reason_codes=[verdict_pb2.REASON_CODE_VELOCITY]
            ),
            id="ids and a filter",
        ),
        pytest.param(
            contract.DecideQuarantinedEventsRequest(action=RELEASE, event_ids=["e"], reason="x" * 1025), id="a novel"
        ),
        pytest.param(
            contract.DecideQuarantinedEventsRequest(action=RELEASE, event_ids=["e"], reason="ann@example.com rang"),
            id="whose address it is",
        ),
        pytest.param(
            contract.DecideQuarantinedEventsRequest(action=RELEASE, event_ids=["e"], reason="of +49 171 2345678"),
            id="whose number it is",
        ),
        pytest.param(contract.DecideQuarantinedEventsRequest(action=RELEASE, event_ids=["e"] * 1001), id="too many"),
    ],
)
async def test_what_is_no_decision_is_refused(live: Live, request_: contract.DecideQuarantinedEventsRequest) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await live.query.DecideQuarantinedEvents(request_)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("scope", ["ingest", "backfill", "query"])
def test_only_an_admin_decides(stack: SharedStack, keyed_workspace: KeyedWorkspace, scope: str) -> None:
    options = ["--target", stack.addresses["query"], "--api-key", keyed_workspace.scoped[scope]]
    told = CliRunner().invoke(cli, ["quarantine", "release", "e", *options])
    assert told.exit_code == 1
    assert "PERMISSION_DENIED" in told.output
    assert "tributary keys create --scope" in told.output
