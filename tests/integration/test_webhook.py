"""One webhook call against receivers that behave, that break, and that want to lead it elsewhere."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog

from tests.support.certificates import Authority
from tests.support.delivery import a_destination
from tests.support.destinations import Answer, Endpoint, running_endpoint
from tests.support.eventually import eventually_async
from tests.support.ports import free_port
from tests.support.revisions import Revision
from tributary.delivery.v1.delivery_pb2 import DELIVERY_OPERATION_CREATE, DELIVERY_OPERATION_RESTATE
from tributary_delivery.destinations.destination import CONFIG, OK, RETRY, THROTTLED, Message, Outcome
from tributary_delivery.destinations.webhook import Webhook
from tributary_runtime.clock import SystemClock
from tributary_runtime.public_addresses import Lookup
from tributary_runtime.traces import linked_span

NAME = "hooks.example.com"
TOKEN = "very-secret-token"


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    async with running_endpoint() as running:
        yield running


def a_message(operation: int = DELIVERY_OPERATION_CREATE) -> Message:
    revised = Revision(workspace="shop").message()
    return Message(revised, operation, None, SystemClock().unix_micros() // 1_000_000)  # type: ignore[arg-type]


def resolving(*addresses: str) -> Lookup:
    """Returns a name server that knows one answer."""

    def look_up(host: str, port: int) -> Iterable[tuple[Any, ...]]:
        return [(0, 0, 0, "", (address, port)) for address in addresses]

    return look_up


async def send(url: str, *, call_seconds: float = 30.0, message: Message | None = None, **own: Any) -> Outcome:
    settings = a_destination(url, allow_private_addresses=own.pop("allow_private_addresses", True))
    webhook = Webhook(settings, call_seconds=call_seconds, **own)
    try:
        return await webhook.send(message or a_message())
    finally:
        await webhook.aclose()


async def test_a_call_verifies_with_the_reference_library(endpoint: Endpoint) -> None:
    assert (await send(endpoint.url)).outcome == OK
    assert endpoint.bad_signatures == 0
    [call] = endpoint.calls
    assert "." not in call.message_id.replace("c1:", "")
    assert call.headers["content-type"] == "application/json"
    assert call.headers["host"] == f"127.0.0.1:{endpoint.port}"


async def test_during_a_change_of_secrets_both_sign(endpoint: Endpoint) -> None:
    settings = a_destination(
        endpoint.url, secret={"value": "the new secret, of 24+ bytes"}, previous_secret={"value": a_secret()}
    )
    webhook = Webhook(settings, call_seconds=5.0)
    assert (await webhook.send(a_message())).outcome == OK
    await webhook.aclose()
    assert len(endpoint.calls[0].headers["webhook-signature"].split()) == 2


def a_secret() -> str:
    return a_destination().secret.reveal()


async def test_one_connection_serves_many_calls(endpoint: Endpoint) -> None:
    webhook = Webhook(a_destination(endpoint.url), call_seconds=5.0)
    for _ in range(5):
        assert (await webhook.send(a_message())).outcome == OK
    await webhook.aclose()
    assert endpoint.connections == 1


@pytest.mark.parametrize(
    ("answer", "outcome", "wait"),
    [
        pytest.param(Answer(200), OK, 0, id="200"),
        pytest.param(Answer(301, {"location": "http://169.254.169.254/"}), RETRY, 0, id="a redirect"),
        pytest.param(Answer(400), RETRY, 0, id="400"),
        pytest.param(Answer(401), RETRY, 0, id="401"),
        pytest.param(Answer(410), CONFIG, 0, id="gone"),
        pytest.param(Answer(429, {"retry-after": "17"}), THROTTLED, 17, id="429 with seconds"),
        pytest.param(Answer(503, {"retry-after": "nonsense"}), THROTTLED, 0, id="503 with nonsense"),
        pytest.param(Answer(429, {"retry-after": "9" * 400}), THROTTLED, 86_400, id="429 for ever"),
        pytest.param(Answer(500), RETRY, 0, id="500"),
        pytest.param(Answer(hangs_up=True), RETRY, 0, id="no answer"),
    ],
)
async def test_an_answer_has_its_class(endpoint: Endpoint, answer: Answer, outcome: int, wait: float) -> None:
    endpoint.answers.append(answer)
    told = await send(endpoint.url)
    assert (told.outcome, told.retry_after_seconds) == (outcome, wait)
    assert len(endpoint.calls) == 1, "a redirect is never followed"


@pytest.mark.parametrize(
    ("answer", "is_untaken"),
    [
        pytest.param(Answer(302), True, id="302"),
        pytest.param(Answer(404), True, id="404"),
        pytest.param(Answer(408), False, id="408: cut off"),
        pytest.param(Answer(409), False, id="409: there already"),
        pytest.param(Answer(410), True, id="410"),
        pytest.param(Answer(429), True, id="429"),
        pytest.param(Answer(500), False, id="500"),
        pytest.param(Answer(502), False, id="502: a proxy lost the answer"),
        pytest.param(Answer(503), False, id="503: so may this one have"),
        pytest.param(Answer(503, {"retry-after": "1"}), True, id="503 on purpose"),
        pytest.param(Answer(hangs_up=True), False, id="no answer"),
    ],
)
async def test_only_an_answer_that_leaves_no_doubt_says_that_nothing_was_taken(
    endpoint: Endpoint, answer: Answer, *, is_untaken: bool
) -> None:
    endpoint.answers.append(answer)
    assert (await send(endpoint.url)).is_untaken is is_untaken


async def test_nobody_there_is_tried_again_and_took_nothing() -> None:
    told = await send(f"http://127.0.0.1:{free_port()}/hook")
    assert (told.outcome, told.status_code, told.is_untaken) == (RETRY, 0, True)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Answer(waits_for=asyncio.Event()), id="silence"),
        pytest.param(Answer(drips=0.05), id="a head that never ends, byte by byte"),
    ],
)
async def test_a_call_ends_in_time_whatever_the_receiver_does(endpoint: Endpoint, answer: Answer) -> None:
    endpoint.answers.append(answer)
    async with asyncio.timeout(60):
        assert (await send(endpoint.url, call_seconds=0.5)).outcome == RETRY


async def test_an_answer_without_end_counts_by_its_status_and_is_not_read(endpoint: Endpoint) -> None:
    endpoint.answers.append(Answer(200, is_endless=True))
    async with asyncio.timeout(60):
        assert (await send(endpoint.url, call_seconds=600)).outcome == OK


async def test_a_name_server_that_is_silent_costs_no_more_than_a_call_and_holds_nobody_else_up(
    endpoint: Endpoint,
) -> None:
    released = asyncio.Event()
    loop = asyncio.get_running_loop()

    def silent(host: str, port: int) -> Iterable[tuple[Any, ...]]:
        asyncio.run_coroutine_threadsafe(released.wait(), loop).result(300)
        return []

    hanging = Webhook(a_destination("https://silent.example/"), call_seconds=0.5, lookup=silent)
    calls = [asyncio.create_task(hanging.send(a_message())) for _ in range(32)]
    async with asyncio.timeout(60):
        assert (await send(endpoint.url)).outcome == OK
        outcomes = await asyncio.gather(*calls)
    assert {one.outcome for one in outcomes} == {RETRY}
    released.set()
    await hanging.aclose()


@pytest.mark.parametrize(
    "address",
    [
        *("192.0.0.8", "192.0.0.10", "192.88.99.1", "3fff::1", "5f00::1"),
        *("127.0.0.1", "10.0.0.7", "172.16.3.4", "192.168.1.1", "100.64.0.1", "169.254.169.254", "0.0.0.0"),  # noqa: S104
        *("168.63.129.16", "::ffff:168.63.129.16"),
        *("224.0.0.1", "240.0.0.1", "255.255.255.255", "198.18.0.1", "192.0.2.1"),
        *("::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "100::1", "2001:db8::1"),
        *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "::ffff:0:127.0.0.1"),
        *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::1"),
        "2001:0:4136:e378:8000:63bf:80ff:fffe",
    ],
)
async def test_an_address_that_is_not_public_is_never_called(address: str) -> None:
    told = await send(f"https://{NAME}/", allow_private_addresses=False, lookup=resolving(address), call_seconds=30.0)
    assert told.outcome == CONFIG
    assert address not in told.message


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "2130706433", "0x7f.1", "localhost", "[::ffff:10.0.0.1]"])
async def test_no_spelling_of_a_private_address_is_called(host: str) -> None:
    told = await send(f"https://{host}:9/", allow_private_addresses=False, call_seconds=2.0)
    assert told.outcome == CONFIG


async def test_one_private_address_among_public_ones_refuses_the_host() -> None:
    lookup = resolving("93.184.216.34", "10.0.0.1")
    assert (await send(f"https://{NAME}/", allow_private_addresses=False, lookup=lookup)).outcome == CONFIG


async def test_a_name_that_changes_its_mind_is_called_at_the_address_that_was_checked(endpoint: Endpoint) -> None:
    answers = iter([["127.0.0.1"], ["192.0.2.1"]])

    def rebinding(host: str, port: int) -> Iterable[tuple[Any, ...]]:
        return [(0, 0, 0, "", (address, port)) for address in next(answers)]

    url = f"http://{NAME}:{endpoint.port}/hook?token={TOKEN}"
    assert (await send(url, lookup=rebinding)).outcome == OK
    [call] = endpoint.calls
    assert call.headers["host"] == f"{NAME}:{endpoint.port}"
    assert call.path == f"/hook?token={TOKEN}"
    assert next(answers) == ["192.0.2.1"], "it was asked once"


async def test_an_address_nobody_listens_on_is_passed_over_for_the_next(endpoint: Endpoint) -> None:
    url = f"http://{NAME}:{endpoint.port}/hook"
    assert (await send(url, lookup=resolving("127.0.0.2", "127.0.0.1"))).outcome == OK


@contextmanager
def silent_addresses(count: int, port: int) -> Iterator[list[str]]:
    """Has so many addresses drop the packets that come to a port."""
    with ExitStack() as closing:
        addresses = [f"127.0.0.{number + 2}" for number in range(count)]
        for address in addresses:
            listener = closing.enter_context(socket.create_server((address, port), backlog=0))
            for _ in range(3):  # its queue is full: what comes now is dropped
                waiting = closing.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex(listener.getsockname())
        yield addresses


async def test_addresses_that_drop_packets_are_passed_over_and_come_last_from_then_on(endpoint: Endpoint) -> None:
    with silent_addresses(3, endpoint.port) as addresses:
        settings = a_destination(f"http://{NAME}:{endpoint.port}/hook")
        webhook = Webhook(settings, call_seconds=3.0, lookup=resolving(*addresses, "127.0.0.1"))
        first, second = [await webhook.send(a_message()) for _ in range(2)]
        await webhook.aclose()
    assert first.outcome == OK or first.is_unsent
    assert second.outcome == OK


@pytest.mark.parametrize("silent", [1, 4])
async def test_where_all_addresses_drop_packets_nothing_was_sent_and_there_is_no_doubt(silent: int) -> None:
    with silent_addresses(silent, port := free_port()) as addresses:
        outcome = await send(f"http://{NAME}:{port}/hook", call_seconds=0.9, lookup=resolving(*addresses))
    assert (outcome.outcome, outcome.is_untaken, outcome.is_unsent) == (RETRY, True, True)


async def test_the_trace_goes_along(endpoint: Endpoint) -> None:
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with linked_span("deliver", [traceparent]):
        await send(endpoint.url)
    assert endpoint.calls[0].headers["traceparent"] == traceparent


@pytest.mark.parametrize(
    ("url", "own"),
    [
        pytest.param("https://x.example/", {"secret": {"value": "whsec_%%%"}}, id="a secret that is no base64"),
        pytest.param("https://" + "x" * 300 + ".example/", {}, id="a name that is too long"),
    ],
)
async def test_what_is_declared_wrong_is_an_outcome_and_never_an_exception(url: str, own: dict[str, Any]) -> None:
    webhook = Webhook(a_destination(url, **own), call_seconds=1.0)
    told = await webhook.send(a_message())
    await webhook.aclose()
    assert told.outcome in (CONFIG, RETRY)
    assert "%%%" not in told.message


async def test_neither_messages_nor_logs_hold_a_query_or_a_secret(endpoint: Endpoint, caplog: Any) -> None:
    caplog.set_level(0)
    told = []
    with structlog.testing.capture_logs() as lines:
        for url in (endpoint.url, f"http://127.0.0.1:{free_port()}/", f"https://127.0.0.1:{endpoint.port}/"):
            told.append(await send(f"{url}?token={TOKEN}", call_seconds=1.0))
    assert [one.outcome for one in told] == [OK, RETRY, RETRY]
    for text in (*map(repr, told), *map(str, lines)):
        assert TOKEN not in text
        assert a_secret() not in text
    libraries = [record for record in caplog.records if TOKEN in record.getMessage()]
    assert all(record.levelno < 30 for record in libraries), "what libraries say below WARNING is not written"


async def test_tls_is_spoken_with_the_name_and_checked_against_it(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    said: list[str | None] = []
    server = authority.server(NAME)
    server.sni_callback = lambda _socket, name, _context: said.append(name)
    async with running_endpoint(server) as endpoint:
        url = f"https://{NAME}:{endpoint.port}/hook"
        told = await send(url, tls=authority.client(), lookup=resolving("127.0.0.1"))
    assert told.outcome == OK
    assert said == [NAME]
    assert endpoint.calls[0].headers["host"] == f"{NAME}:{endpoint.port}"


async def test_a_certificate_of_another_name_is_refused(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with running_endpoint(authority.server("other.example.com")) as endpoint:
        url = f"https://{NAME}:{endpoint.port}/hook"
        told = await send(url, tls=authority.client(), lookup=resolving("127.0.0.1"))
    assert told.outcome == CONFIG
    assert endpoint.calls == []


async def test_a_certificate_of_an_unknown_authority_is_refused(tmp_path: Path) -> None:
    async with running_endpoint(Authority(tmp_path).server("nobody")) as endpoint:
        told = await send(endpoint.url)
    assert told.outcome == CONFIG
    assert endpoint.calls == []


async def test_a_line_that_breaks_during_the_handshake_is_tried_again() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        assert (await send(f"https://127.0.0.1:{port}/")).outcome == RETRY
    finally:
        server.close()


async def test_an_idle_connection_that_was_closed_costs_no_attempt(endpoint: Endpoint) -> None:
    webhook = Webhook(a_destination(endpoint.url), call_seconds=5.0)
    endpoint.answers.append(Answer(200, {"connection": "close"}))
    assert (await webhook.send(a_message())).outcome == OK
    assert (await webhook.send(a_message(DELIVERY_OPERATION_RESTATE))).outcome == OK
    await webhook.aclose()
    await eventually_async(lambda: endpoint.connections == 2)
