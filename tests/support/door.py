"""Ingestion and dedup as real processes on real stores: as much of an installation as the door needs."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import yaml

from tests.support.ports import free_port
from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.verdict_pb2 import EventVerdict
from tributary.ingestion.v1.ingestion_service_pb2 import IngestEventsRequest, IngestEventsResponse
from tributary_cli.stack.services import ServiceProcess
from tributary_runtime.authentication import new_key

METHOD = "/tributary.ingestion.v1.IngestionService/IngestEvents"


@dataclass(frozen=True, slots=True)
class Door:
    """A running door."""

    ingestion: ServiceProcess
    dedup: ServiceProcess
    keys: Mapping[str, str]
    """Workspace, or "<workspace>/<scope>", as it is called in `running_door` -> API key."""
    ids: Mapping[str, str]
    """Workspace, likewise -> its id."""
    channel: grpc.Channel

    def call(self, request: IngestEventsRequest | bytes, api_key: str, timeout: float = 30.0) -> IngestEventsResponse:
        """Makes one call; raises `grpc.RpcError`."""
        body = request if isinstance(request, bytes) else request.SerializeToString()
        send = self.channel.unary_unary(METHOD, response_deserializer=IngestEventsResponse.FromString)
        metadata = [("authorization", f"Bearer {api_key}")] if api_key else []
        answer: IngestEventsResponse = send(body, timeout=timeout, metadata=metadata)
        return answer

    def send(self, *events: Event, workspace: str = "shop", **options: Any) -> list[EventVerdict]:
        """Sends events in one call and returns their verdicts."""
        return list(self.call(IngestEventsRequest(events=events, **options), self.keys[workspace]).verdicts)


@contextmanager
def running_door(
    directory: Path,
    redis_url: str,
    clickhouse_url: str,
    workspaces: Mapping[str, Mapping[str, Any]],
    *,
    settings: Mapping[str, Mapping[str, str]] | None = None,
    credentials: grpc.ChannelCredentials | None = None,
) -> Iterator[Door]:
    """Starts dedup and ingestion.

    Args:
        directory: For logs and `workspaces.yaml`.
        redis_url: Migrated, empty.
        clickhouse_url: Migrated.
        workspaces: Per workspace what the file shall say beside id, pepper and keys. Its id is another one each time:
            ClickHouse knows those of the doors before.
        settings: Per service what its environment shall say beside.
        credentials: Of the channel; None: in the clear.
    """
    ids = {name: f"{name}-{secrets.token_hex(4)}" for name in workspaces}
    text, keys = _render(workspaces, ids)
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "workspaces.yaml"
    file.write_text(text)
    dedup_port, ingestion_port = free_port(), free_port()
    environment = {
        "TRIBUTARY_LOG_URL": redis_url,
        "TRIBUTARY_STATE_URL": redis_url,
        "TRIBUTARY_CLICKHOUSE_URL": clickhouse_url,
        "TRIBUTARY_WORKSPACES_FILE": str(file),
        "TRIBUTARY_DEDUP_TARGET": f"127.0.0.1:{dedup_port}",
        "TRIBUTARY_INTERNAL_TOKEN": secrets.token_hex(16),
        "TRIBUTARY_DRAIN_DELAY_SECONDS": "0",
    }
    own = settings or {}
    dedup = ServiceProcess("dedup", dedup_port, directory / "dedup.log", environment | dict(own.get("dedup", {})))
    ingestion = ServiceProcess(
        "ingestion", ingestion_port, directory / "ingestion.log", environment | dict(own.get("ingestion", {}))
    )
    with ExitStack() as closing:
        for process in (dedup, ingestion):  # one after the other: who finds nobody to connect to is refused for a while
            closing.callback(process.kill)  # how it leaves is looked at elsewhere
            process.start()
            process.wait_until_ready()
        channel = closing.enter_context(
            grpc.insecure_channel(ingestion.address)
            if credentials is None
            else grpc.secure_channel(ingestion.address, credentials)
        )
        yield Door(ingestion, dedup, keys, ids, channel)


def _render(workspaces: Mapping[str, Mapping[str, Any]], ids: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Returns a workspaces.yaml with two keys per workspace: one with every ingestion scope, one per single scope."""
    entries, keys = [], {}
    for workspace, own in workspaces.items():
        api_keys = []
        for name, scopes in (("", ["ingest", "backfill"]), ("/ingest", ["ingest"]), ("/query", ["query"])):
            key = new_key()
            keys[f"{workspace}{name}"] = key.key.get_secret_value()
            api_keys.append({"id": key.id, "sha256": key.sha256, "scopes": scopes})
        entries.append({"id": ids[workspace], "pepper": {"value": secrets.token_hex(16)}, "api_keys": api_keys, **own})
    return yaml.safe_dump({"workspaces": entries}), keys
