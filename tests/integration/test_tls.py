"""TLS and mTLS on every server and every channel: what is configured is required."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from click.testing import CliRunner
from google.protobuf import json_format

from tests.support.certificates import Authority, Pair
from tests.support.door import METHOD, Door, running_door
from tests.support.eventually import eventually
from tests.support.ports import free_address
from tests.support.stores import Stores, create_test_epoch, run_apart
from tributary.event.v1 import verdict_pb2
from tributary.event.v1.context_pb2 import OBSERVER_BACKEND
from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.touchpoint_pb2 import TOUCHPOINT_KIND_VISIT
from tributary.ingestion.v1.ingestion_service_pb2 import IngestEventsRequest
from tributary_cli.command_line import cli
from tributary_runtime.clock import SystemClock

ACCEPTED = verdict_pb2.VERDICT_ACCEPTED
ADMIT = "/tributary.dedup.v1.DedupService/AdmitEvents"
SERVICES = Path(__file__).parents[2] / "services"


@dataclass(frozen=True)
class Secured:
    """A door of which each server has a certificate, and dedup asks for its callers'."""

    door: Door
    authority: Authority
    ingestion: Pair
    directory: Path


@pytest.fixture(scope="module")
def secured(stores: Stores, clickhouse_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    directory = tmp_path_factory.mktemp("tls")
    authority = Authority(directory)
    ingestion, dedup = authority.issue("ingestion"), authority.issue("dedup")
    redis_url = stores.empty_redis_url()
    run_apart(create_test_epoch(redis_url))
    settings = {
        "ingestion": {
            "TRIBUTARY_TLS_CERTIFICATE_FILE": str(ingestion.certificate),
            "TRIBUTARY_TLS_KEY_FILE": str(ingestion.key),
            "TRIBUTARY_TLS_CA_FILE": str(authority.file),
            "TRIBUTARY_HEALTH_LISTEN": free_address(),
        },
        "dedup": {
            "TRIBUTARY_TLS_CERTIFICATE_FILE": str(dedup.certificate),
            "TRIBUTARY_TLS_KEY_FILE": str(dedup.key),
            "TRIBUTARY_TLS_CLIENT_CA_FILE": str(authority.file),
            "TRIBUTARY_HEALTH_LISTEN": free_address(),
        },
    }
    credentials = grpc.ssl_channel_credentials(authority.file.read_bytes())
    with running_door(
        directory, redis_url, clickhouse_url, {"shop": {}}, settings=settings, credentials=credentials
    ) as door:
        yield Secured(door, authority, ingestion, directory)


def a_visit(event_id: str) -> Event:
    event = Event(event_id=event_id)
    event.event_time.FromMicroseconds(SystemClock().unix_micros())
    event.identifiers.visitor_id = "anna"
    event.touchpoint.kind = TOUCHPOINT_KIND_VISIT
    event.context.observed_by = OBSERVER_BACKEND
    return event


def code_of(
    address: str, credentials: grpc.ChannelCredentials | None, method: str, metadata: list[tuple[str, str]]
) -> str:
    """Returns the code of a call over a channel of its own."""
    opened = grpc.insecure_channel(address) if credentials is None else grpc.secure_channel(address, credentials)
    with opened as channel:
        try:
            body = IngestEventsRequest(events=[a_visit("probe")]).SerializeToString()
            channel.unary_unary(method)(body, timeout=60, metadata=metadata)
        except grpc.RpcError as error:
            call: grpc.Call = error  # type: ignore[assignment]  # what the stubs do not say: the error is the call
            return call.code().name
    return "OK"


def bearer(door: Door) -> list[tuple[str, str]]:
    return [("authorization", f"Bearer {door.keys['shop']}")]


def test_an_event_goes_over_tls_to_the_door_and_over_mtls_to_dedup(secured: Secured) -> None:
    (verdict,) = secured.door.send(a_visit("one"))
    assert verdict.verdict == ACCEPTED


@pytest.mark.parametrize("options", [["--tls-ca"], ["--tls", "--tls-ca"]], ids=["file", "file and flag"])
def test_the_command_takes_a_private_authority(secured: Secured, tmp_path: Path, options: list[str]) -> None:
    file = tmp_path / "events"
    file.write_text(json_format.MessageToJson(a_visit("by the command"), indent=None))
    command = ["send", str(file), "--target", secured.door.ingestion.address, "--api-key", secured.door.keys["shop"]]
    told = CliRunner().invoke(cli, [*command, *options, str(secured.authority.file)])
    assert told.exit_code == 0, told.output
    alone = CliRunner().invoke(cli, [*command, "--tls", "--patience", "0.1"])
    assert alone.exit_code == 1
    half = CliRunner().invoke(cli, [*command, "--tls-key", str(secured.ingestion.key)])
    assert "belong together" in half.output


def test_nobody_gets_in_in_the_clear(secured: Secured) -> None:
    assert code_of(secured.door.ingestion.address, None, METHOD, bearer(secured.door)) == "UNAVAILABLE"
    assert code_of(secured.door.dedup.address, None, ADMIT, []) == "UNAVAILABLE"


def test_a_caller_does_not_talk_to_a_server_that_nobody_vouches_for(secured: Secured) -> None:
    stranger = Authority(secured.directory, "stranger")
    trusting_another = grpc.ssl_channel_credentials(stranger.file.read_bytes())
    address = secured.door.ingestion.address
    assert code_of(address, trusting_another, METHOD, bearer(secured.door)) == "UNAVAILABLE"


def test_dedup_lets_in_only_who_shows_a_certificate_of_ours(secured: Secured) -> None:
    roots = secured.authority.file.read_bytes()
    address = secured.door.dedup.address
    assert code_of(address, grpc.ssl_channel_credentials(roots), ADMIT, []) == "UNAVAILABLE"
    forged = Authority(secured.directory, "forger").issue("forged")
    with_forged = grpc.ssl_channel_credentials(roots, forged.key.read_bytes(), forged.certificate.read_bytes())
    assert code_of(address, with_forged, ADMIT, []) == "UNAVAILABLE"
    ours = secured.authority.issue("caller")
    with_ours = grpc.ssl_channel_credentials(roots, ours.key.read_bytes(), ours.certificate.read_bytes())
    assert code_of(address, with_ours, ADMIT, []) == "UNAUTHENTICATED"  # past TLS; the token is asked for beside


def test_a_renewed_certificate_is_used_without_a_restart(secured: Secured) -> None:
    successor = Authority(secured.directory, "successor")
    renewed = successor.issue("renewed")
    before = secured.ingestion.certificate.read_bytes(), secured.ingestion.key.read_bytes()
    trusting = grpc.ssl_channel_credentials(successor.file.read_bytes())
    address = secured.door.ingestion.address
    assert code_of(address, trusting, METHOD, bearer(secured.door)) == "UNAVAILABLE"
    try:
        secured.ingestion.key.write_bytes(renewed.key.read_bytes())
        secured.ingestion.certificate.write_bytes(renewed.certificate.read_bytes())
        eventually(lambda: code_of(address, trusting, METHOD, bearer(secured.door)) == "OK")
    finally:
        secured.ingestion.key.write_bytes(before[1])
        secured.ingestion.certificate.write_bytes(before[0])


def test_every_channel_between_services_takes_part() -> None:
    """A channel that somebody forgot would talk in the clear to servers that speak TLS, and fail only there."""
    calls = [
        match
        for path in SERVICES.rglob("*.py")
        for match in re.findall(r"(?:partial\(open_channel,|open_channel\()(?:[^()]|\([^()]*\))*\)", path.read_text())
    ]
    assert len(calls) >= 2, "of ingestion, and one by which query opens all of its channels"
    assert [call for call in calls if "tls=" not in call] == []
