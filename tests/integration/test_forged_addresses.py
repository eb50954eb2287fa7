"""No address of `workspaces.yaml` leads a call into the installation's own network, whatever type of destination."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from tests.support.all_destinations import KINDS, TAKEN, Stand, differences, open_row
from tests.support.batches import a_purchase, clicked, oauth, plan, publish
from tests.support.delivery import Rig, a_rig
from tests.support.revisions import Revision
from tributary.delivery.v1.delivery_pb2 import DELIVERY_OPERATION_CREATE
from tributary_cli.demo.fakes.fake import Ask, Reply
from tributary_cli.demo.fakes.http import LoopbackHttp
from tributary_cli.demo.fakes.server import Fault
from tributary_delivery.admission import Admission
from tributary_delivery.attempt import Attempt
from tributary_delivery.destinations import TOKEN_URLS
from tributary_delivery.destinations.destination import CONFIG, Outcome
from tributary_delivery.overtaking import Overtaking
from tributary_delivery.places import Places
from tributary_delivery.turns import Turns
from tributary_delivery.warehouse_export import bucket_of
from tributary_runtime.clock import SystemClock
from tributary_runtime.public_addresses import Lookup
from tributary_runtime.warehouse_destinations import WarehouseDestination
from tributary_storage.clickhouse.warehouse_files import FileError, FileFault, WarehouseFiles
from tributary_storage.redis.delivery_job import Job

C = "c1:0000"
SPELLINGS = (
    *("127.0.0.1", "localhost", "2130706433", "0x7f000001", "017700000001", "0x7f.1", "127.1"),
    *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "0.0.0.0"),  # noqa: S104
)
"""This machine."""
INNER = ("10.0.0.7", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "[fd00:ec2::254]", "[fe80::1]")
"""Networks of one's own, and where clouds tell a machine its secrets."""


@pytest.fixture
async def rig(migrated_redis_url: str, clickhouse_url: str) -> AsyncIterator[Rig]:
    async with a_rig(migrated_redis_url, clickhouse_url) as opened:
        yield opened


@asynccontextmanager
async def listener() -> AsyncIterator[tuple[int, list[int]]]:
    """Listens on a port of every address of this machine; gives it, and what has connected."""
    connected: list[int] = []

    def note(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.append(1)
        writer.close()

    server = await asyncio.start_server(note, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], connected


class Unasked:
    """What people allow was asked just now."""

    async def changed(self, attempts: Sequence[Attempt]) -> Collection[str]:
        del attempts
        return ()


async def sent(rig: Rig, stand: Stand, lookup: Lookup | None = None, **own: Any) -> Outcome:
    """Sends something to a destination that is declared otherwise."""
    url = "url" if stand.kind == "webhook" else "base_url"
    stand.declared |= {(url if name == "address" else name): value for name, value in own.items()}
    clock = SystemClock()
    attempt = Attempt(
        Job(C, 1, 0, 0, 1, never_sent=True, taken=None),
        Revision(workspace=stand.lane.workspace).message(),
        DELIVERY_OPERATION_CREATE,
        event=b"{}",
        ask_seconds=clock.monotonic_seconds(),
    )
    admission = Admission(stand.lane, stand.settings, rig.stores.states, clock, call_seconds=5)
    places = Places(stand.lane, "", rig.stores.states, admission, clock)
    alone = {"alive_seconds": 1.0, "lease_seconds": 3600.0, "is_possible": False}
    overtaking = Overtaking(stand.lane, rig.stores.holds, rig.stores.newest, **alone)  # type: ignore[arg-type]
    turns = Turns(stand.lane, "token", 3600, 1800, rig.stores.jobs, admission, places, overtaking, clock, Unasked())
    async with aclosing(rig.senders(lookup=lookup).make(stand.lane, stand.settings)) as sender:
        [outcome] = await sender.send([attempt], turns.of([attempt], clock.monotonic_seconds()))
    return outcome


def always(*addresses: str) -> Lookup:
    """Returns a name server that has one answer."""

    def look_up(host: str, port: int) -> Iterable[tuple[Any, ...]]:
        return [(0, 0, 0, "", (address, port)) for address in addresses]

    return look_up


async def test_no_spelling_of_an_address_of_ours_is_called(rig: Rig, workspace: str) -> None:
    async with listener() as (port, connected):
        with open_row(workspace, allow_private_addresses=True) as row:
            for stand in row:
                for host in (*SPELLINGS, *INNER):
                    address = f"https://{host}:{port}/v1"
                    told = await sent(rig, stand, address=address, allow_private_addresses=False)
                    assert (told.outcome, told.is_untaken) == (CONFIG, True), f"{stand.kind} at {host}"
        assert connected == []


async def test_a_name_that_resolves_to_an_address_of_ours_is_not_called(rig: Rig, workspace: str) -> None:
    async with listener() as (port, connected):
        with open_row(workspace) as row:
            for stand in row:
                own = {"address": f"https://api.example:{port}", "allow_private_addresses": False}
                for lookup in (always("127.0.0.1"), always("93.184.216.34", "10.0.0.7"), always("::ffff:127.0.0.1")):
                    told = await sent(rig, stand, lookup, **own)
                    assert (told.outcome, told.is_untaken) == (CONFIG, True), stand.kind
        assert connected == []


async def test_a_name_that_changes_its_mind_is_called_where_it_was_checked(rig: Rig, workspace: str) -> None:
    with open_row(workspace) as row:
        for stand in row:
            asked: list[str] = []

            def rebinding(host: str, port: int, asked: list[str] = asked) -> Iterable[tuple[Any, ...]]:
                asked.append(host)
                return always("127.0.0.1" if len(asked) == 1 else "192.0.2.1")(host, port)

            url = stand.declared["url" if stand.kind == "webhook" else "base_url"]
            await sent(rig, stand, rebinding, address=url.replace("127.0.0.1", "api.example"))
            assert (len(asked), len(stand.front.asks)) == (1, 1), stand.kind
            assert stand.front.asks[0].headers["host"].startswith("api.example:")


async def test_a_refresh_token_is_not_sent_to_an_address_of_ours(rig: Rig, workspace: str) -> None:
    async with listener() as (port, connected):
        with open_row(workspace, kinds=(*TOKEN_URLS, "salesforce")) as row:
            for stand in row:
                own = {"address": "https://api.example", "allow_private_addresses": False}
                for host in SPELLINGS:
                    told = await sent(rig, stand, **own, **oauth(f"https://{host}:{port}"))
                    assert (told.outcome, told.message[:8]) == (CONFIG, "No token"), f"{stand.kind} at {host}"
                told = await sent(rig, stand, always("10.0.0.7"), **own, **oauth("https://token.example"))
                assert (told.outcome, told.message[:8]) == (CONFIG, "No token")
        assert connected == []


async def test_neither_a_redirect_nor_a_proxy_of_the_environment_leads_a_call_elsewhere(
    rig: Rig, workspace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    led_astray: list[Ask] = []

    def elsewhere(ask: Ask) -> Reply:
        led_astray.append(ask)
        return Reply(200)

    with LoopbackHttp("elsewhere", elsewhere) as other, open_row(workspace) as row:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, other.url)
        for stand, status in zip(row, (301, 302, 303, 307, 308, 307, 308, 307, 308, 307, 308, 307), strict=True):
            stand.front.faults.append(Fault(takes=False, reply=Reply(status, headers={"location": f"{other.url}/"})))
        await plan(rig, row.lanes, await publish(rig, row.lanes[0], [a_purchase(row.lanes[0])], clicked))

        async def have_answered() -> bool:
            return len(await rig.history.deliveries(workspace, C)) == len(KINDS)

        await row.deliver(rig, have_answered)
        for stand in row:
            await rig.stores.states.mend(stand.lane, "others")
        await row.deliver(rig)
        found = await row.fates(rig, [C])
    assert differences(dict.fromkeys(found, TAKEN), found) == []
    assert led_astray == []


async def test_no_bucket_of_a_warehouse_is_at_an_address_of_ours(rig: Rig) -> None:
    async with listener() as (port, connected):
        for host in (*SPELLINGS, *INNER):
            settings = WarehouseDestination(
                id="books", type="warehouse", bucket="books", endpoint_url=f"https://{host}:{port}"
            )
            with pytest.raises(FileError) as refused:
                await WarehouseFiles(rig.clickhouse).write_text(bucket_of(settings), "a.json", "{}")
            assert refused.value.fault is FileFault.CONFIG, host
        assert connected == []
