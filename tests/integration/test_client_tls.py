"""TLS and mutual TLS with real certificates, and any load balancer that gRPC knows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import grpc
import pytest

from tests.support.certificates import Authority
from tests.support.eventually import eventually
from tests.support.scripted_door import ScriptedDoor, opened
from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.verdict_pb2 import VERDICT_ACCEPTED
from tributary_client import Batching, InvalidBatchError, OverdueError, RetryPolicy, Tls, TransportKind, Tributary

SHORT = RetryPolicy(total_seconds=1, first_delay_seconds=0.01)
"""For who is never answered."""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def root_of(authority: Authority) -> bytes:
    return authority.file.read_bytes()


def issued(authority: Authority, name: str) -> tuple[bytes, bytes]:
    """Returns a private key and its certificate, PEM."""
    pair = authority.issue(name)
    return pair.key.read_bytes(), pair.certificate.read_bytes()


def ask(target: str, tls: Tls | grpc.ChannelCredentials | None, retry: RetryPolicy | None = None) -> list[int]:
    with Tributary(target, api_key="k", tls=tls, retry=retry or RetryPolicy()) as client:
        return [one.verdict for one in client.ingest([Event()])]


def test_tls_reaches_a_server_whose_certificate_is_trusted_and_no_other(authority: Authority, tmp_path: Path) -> None:
    root, another = root_of(authority), root_of(Authority(tmp_path / "other", "another"))
    with opened(ScriptedDoor(), grpc.ssl_server_credentials([issued(authority, "server")])) as target:
        assert ask(target, Tls(root)) == [VERDICT_ACCEPTED]
        assert ask(target, grpc.ssl_channel_credentials(root)) == [VERDICT_ACCEPTED]
        for wrong in (Tls(another), Tls(), None):
            with pytest.raises(OverdueError):
                ask(target, wrong, SHORT)


def test_a_server_may_be_known_by_another_name_than_it_is_called(authority: Authority) -> None:
    server = grpc.ssl_server_credentials([issued(authority, "ingest.example.com")])
    with opened(ScriptedDoor(), server) as target:
        assert ask(target, Tls(root_of(authority), server_name="ingest.example.com")) == [VERDICT_ACCEPTED]
        with pytest.raises(OverdueError):
            ask(target, Tls(root_of(authority), server_name="query.example.com"), SHORT)


def test_mutual_tls_shows_who_the_client_is(authority: Authority) -> None:
    root = root_of(authority)
    server = grpc.ssl_server_credentials([issued(authority, "server")], root, require_client_auth=True)
    key, certificate = issued(authority, "backend")
    with opened(ScriptedDoor(), server) as target:
        assert ask(target, Tls(root, certificate, key)) == [VERDICT_ACCEPTED]
        with pytest.raises(OverdueError):
            ask(target, Tls(root), SHORT)


def test_half_an_identity_is_refused() -> None:
    with pytest.raises(ValueError, match="belong together"):
        Tls(private_key=b"key")


@pytest.mark.parametrize("way", list(TransportKind), ids=lambda way: way.value)
def test_batches_spread_over_all_addresses_of_a_name(way: TransportKind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tributary_client.stream_transport.LIFE_SECONDS", 1e-6)  # each batch by a stream of its own
    doors = [ScriptedDoor(), ScriptedDoor()]
    with opened(doors[0]) as first, opened(doors[1]) as second:
        target = f"ipv4:{first},{second}"
        with Tributary(target, api_key="k", transport=way, batching=Batching(1, linger_seconds=0)) as client:

            def both_are_used() -> None:
                client.track(Event())
                assert client.flush()
                assert all(door.accepted for door in doors)

            eventually(both_are_used)
            before = [len(door.accepted) for door in doors]
            for _ in range(20):
                client.track(Event())
                assert client.flush()
    shares = [len(door.accepted) - count for door, count in zip(doors, before, strict=True)]
    assert Counter(shares) == Counter([10, 10])


def test_options_of_grpc_may_be_chosen() -> None:
    options = {"grpc.max_send_message_length": 100}
    with (
        opened(ScriptedDoor()) as target,
        Tributary(target, api_key="k", channel_options=options) as client,
        pytest.raises(InvalidBatchError, match="larger than max"),
    ):
        client.ingest([Event(properties={"x": "y" * 200})])
