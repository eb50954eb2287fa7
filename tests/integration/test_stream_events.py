"""`StreamEvents` of the door as a real process, in front of real dedup, Redis and ClickHouse."""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

import grpc
import pytest
from google.rpc import error_details_pb2

from tests.support.door import Door, running_door
from tests.support.eventually import eventually
from tests.support.statuses import failure_of
from tests.support.stores import Stores, create_test_epoch, run_apart
from tributary.common.v1.status_pb2 import Status
from tributary.event.v1 import verdict_pb2
from tributary.event.v1.event_pb2 import Event
from tributary.ingestion.v1.ingestion_service_pb2 import StreamEventsRequest, StreamEventsResponse
from tributary_runtime.channels import MAX_MESSAGE_BYTES

METHOD = "/tributary.ingestion.v1.IngestionService/StreamEvents"
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"

ACCEPTED = verdict_pb2.VERDICT_ACCEPTED
DUPLICATE = verdict_pb2.VERDICT_DUPLICATE
VALID = verdict_pb2.VERDICT_VALID


class Stream:
    """One open stream."""

    def __init__(self, door: Door, api_key: str) -> None:
        self._requests: SimpleQueue[bytes | None] = SimpleQueue()
        method = door.channel.stream_stream(METHOD, response_deserializer=StreamEventsResponse.FromString)
        self._call = method(iter(self._requests.get, None), metadata=[("authorization", f"Bearer {api_key}")])

    def write(self, request: StreamEventsRequest | bytes) -> None:
        self._requests.put(request if isinstance(request, bytes) else request.SerializeToString())

    def read(self) -> StreamEventsResponse:
        return next(self._call)

    def ask(self, request: StreamEventsRequest) -> StreamEventsResponse:
        self.write(request)
        return self.read()

    def end(self) -> list[StreamEventsResponse]:
        """Ends our side and returns the answers that were still to come; raises `grpc.RpcError`."""
        self._requests.put(None)
        return list(self._call)

    def cancel(self) -> None:
        self._call.cancel()
        self._requests.put(None)


@pytest.fixture(scope="module")
def door(module_redis_url: str, clickhouse_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    run_apart(create_test_epoch(module_redis_url))
    settings = {"ingestion": {"TRIBUTARY_INGESTION_BYTES_AT_ONCE": str(MAX_MESSAGE_BYTES)}}  # as little as there can be
    directory = tmp_path_factory.mktemp("door")
    with running_door(directory, module_redis_url, clickhouse_url, {"shop": {}}, settings=settings) as running:
        yield running


@pytest.fixture
def stream(door: Door) -> Iterator[Stream]:
    opened = Stream(door, door.keys["shop"])
    yield opened
    opened.cancel()


def an_order(event_id: str = "") -> Event:
    event = Event(event_id=event_id or str(uuid.uuid4()))
    event.event_time.FromSeconds(int(time.time()))  # noqa: TID251 - a real service has a real clock
    event.conversion.name = "purchase"
    event.conversion.order_id = event.event_id
    event.identifiers.customer_id = f"c-{event.event_id}"  # many orders of one customer look like fraud
    return event


def a_batch(number: int, *events: Event, **options: bool) -> StreamEventsRequest:
    return StreamEventsRequest(batch_number=number, events=events or [an_order()], **options)


def decisions(response: StreamEventsResponse) -> list[int]:
    return [verdict.verdict for verdict in response.verdicts]


def reason_of(status: Status) -> str:
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return info.reason


def test_batches_that_find_no_room_at_the_door_are_told_when_to_come_back(stream: Stream) -> None:
    event = an_order()
    for name in ("a", "b", "c"):
        event.properties[name] = "x" * 1_000
    for number in range(1, 9):
        stream.write(a_batch(number, *[event] * 1_000))
    answers = stream.end()
    refused = [answer.error for answer in answers if answer.HasField("error")]
    assert 0 < len(refused) < len(answers) == 8
    assert {reason_of(error) for error in refused} == {"TOO_MANY_BYTES"}
    assert any(detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for detail in refused[0].details)


def test_every_batch_is_answered_under_its_number_in_request_order(stream: Stream) -> None:
    sent = {number: [an_order() for _ in range(3)] for number in (7, 3, 2**60)}
    for number, events in sent.items():
        stream.write(a_batch(number, *events))
    answers = {answer.batch_number: answer for answer in stream.end()}
    assert {number: [event.event_id for event in events] for number, events in sent.items()} == {
        number: [verdict.event_id for verdict in answer.verdicts] for number, answer in answers.items()
    }
    assert {verdict for answer in answers.values() for verdict in decisions(answer)} == {ACCEPTED}


def test_a_batch_sent_again_on_another_stream_is_counted_once(door: Door) -> None:
    batch = a_batch(1, *[an_order() for _ in range(20)])
    streams = [Stream(door, door.keys["shop"]) for _ in range(3)]
    for one in streams:
        one.write(batch)
    told = [decisions(answer) for one in streams for answer in one.end()]
    assert [sorted(verdicts) for verdicts in zip(*told, strict=True)] == [[ACCEPTED, DUPLICATE, DUPLICATE]] * 20


def test_a_batch_says_itself_whether_it_only_asks(stream: Stream) -> None:
    event = an_order()
    assert decisions(stream.ask(a_batch(1, event, validate_only=True))) == [VALID]
    assert decisions(stream.ask(a_batch(2, event))) == [ACCEPTED]


@pytest.mark.parametrize(
    ("batch", "code", "reason"),
    [
        pytest.param(
            StreamEventsRequest(batch_number=1), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", id="no event"
        ),
        pytest.param(
            StreamEventsRequest(batch_number=1, events=[Event()] * 1001),
            grpc.StatusCode.INVALID_ARGUMENT,
            "INVALID_REQUEST",
            id="1001 events",
        ),
        pytest.param(a_batch(0), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", id="no number"),
        pytest.param(
            a_batch(1, backfill=True), grpc.StatusCode.PERMISSION_DENIED, "SCOPE_MISSING", id="backfill without scope"
        ),
    ],
)
def test_a_wrong_batch_is_told_so_and_the_next_is_taken(
    door: Door, batch: StreamEventsRequest, code: grpc.StatusCode, reason: str
) -> None:
    stream = Stream(door, door.keys["shop/ingest"])
    failed = stream.ask(batch)
    assert (failed.batch_number, failed.verdicts) == (batch.batch_number, [])
    assert (failed.error.code, reason_of(failed.error)) == (code.value[0], reason)
    assert decisions(stream.ask(a_batch(2))) == [ACCEPTED]
    assert stream.end() == []


def test_bytes_that_are_no_batch_end_the_stream(stream: Stream) -> None:
    stream.write(b"\x0a\xff\xff\xff")
    with pytest.raises(grpc.RpcError) as caught:
        stream.read()
    assert [info.reason for info in failure_of(caught.value).infos] == ["REQUEST_MALFORMED"]


def test_hostile_bytes_are_answered_or_end_the_stream_as_an_invalid_argument(door: Door) -> None:
    chance = random.Random(7)
    good = a_batch(1, an_order(), an_order()).SerializeToString()
    answered, ended = 0, list[str]()
    stream = Stream(door, door.keys["shop"])
    for _ in range(400):
        body = bytearray(good if chance.random() < 0.8 else chance.randbytes(chance.randrange(200)))
        for _ in range(chance.randrange(6)):
            if body:
                body[chance.randrange(len(body))] = chance.randrange(256)
        stream.write(bytes(body))
        try:
            answered += bool(stream.read())
        except grpc.RpcError as error:
            ended.append(failure_of(error).code)
            stream = Stream(door, door.keys["shop"])
    stream.cancel()
    assert answered > 100
    assert len(ended) > 100
    assert set(ended) == {"INVALID_ARGUMENT"}
    lines = door.ingestion.log_file.read_text()
    assert '"code":"INTERNAL"' not in lines


@pytest.mark.parametrize(("key", "code"), [("", "UNAUTHENTICATED"), ("shop/query", "PERMISSION_DENIED")])
def test_a_stranger_gets_no_stream(door: Door, key: str, code: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        Stream(door, door.keys.get(key, "")).ask(a_batch(1))
    assert failure_of(caught.value).code == code


def test_each_batch_leaves_a_line_with_its_trace(door: Door, stream: Stream) -> None:
    batch = a_batch(4711, an_order(), an_order())
    batch.traceparent = f"00-{TRACE_ID}-b7ad6b7169203331-01"
    stream.ask(batch)

    def written() -> list[dict[str, object]]:
        lines = [json.loads(line) for line in door.ingestion.log_file.read_text().splitlines()]
        return [line for line in lines if line["event"] == "rpc_handled" and line.get("batch") == 4711]

    (line,) = eventually(written)
    assert (line["method"], line["code"], line["workspace"]) == ("StreamEvents", "OK", door.ids["shop"])
    assert (line["events"], line["accepted"], line["trace_id"]) == (2, 2, TRACE_ID)


def test_a_trace_that_is_none_goes_no_further_and_harms_nobody(stream: Stream) -> None:
    batch = a_batch(1, an_order())
    batch.traceparent = "00-" + "\u0664" * 32 + "-" + "\u0664" * 16 + "-01"  # digits, but no header can hold them
    assert decisions(stream.ask(batch)) == [ACCEPTED]
    assert decisions(stream.ask(a_batch(2, an_order()))) == [ACCEPTED]


def test_without_dedup_a_batch_is_unavailable_and_the_same_stream_takes_it_later(
    stores: Stores, clickhouse_url: str, tmp_path: Path
) -> None:
    url = stores.empty_redis_url()
    run_apart(create_test_epoch(url))
    with running_door(tmp_path, url, clickhouse_url, {"shop": {}}) as own:
        stream, batch = Stream(own, own.keys["shop"]), a_batch(1)
        own.dedup.kill()
        failed = stream.ask(batch).error
        assert failed.code == grpc.StatusCode.UNAVAILABLE.value[0]
        assert any(detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for detail in failed.details)
        own.dedup.start()
        own.dedup.wait_until_ready()
        assert eventually(lambda: decisions(stream.ask(batch)) == [ACCEPTED])


def test_a_leaving_door_answers_what_it_took_and_sends_its_callers_elsewhere(
    stores: Stores, clickhouse_url: str, tmp_path: Path
) -> None:
    url = stores.empty_redis_url()
    run_apart(create_test_epoch(url))
    with running_door(tmp_path, url, clickhouse_url, {"shop": {}}) as own:
        stream = Stream(own, own.keys["shop"])
        assert decisions(stream.ask(a_batch(1))) == [ACCEPTED]
        sent, answered = {1}, {1}
        own.ingestion.ask_to_stop()

        def send_until_it_ends() -> None:
            for number in range(2, 100_000):
                sent.add(number)
                answered.add(stream.ask(a_batch(number)).batch_number)

        with pytest.raises(grpc.RpcError) as caught:
            send_until_it_ends()
        failure = failure_of(caught.value)
        assert (failure.code, [info.reason for info in failure.infos]) == ("UNAVAILABLE", ["LEAVING"])
        assert failure.retry_seconds == 0.5
        assert sent - answered == {max(sent)}
        eventually(lambda: own.ingestion.exit_status is not None)
        assert own.ingestion.exit_status == 0
        lines = [json.loads(line) for line in own.ingestion.log_file.read_text().splitlines()]
        taken = {line["batch"] for line in lines if line["event"] == "rpc_handled" and line["code"] == "OK"}
        assert taken == answered, "a batch was taken and not answered"
