"""Asks a service whether it serves, over the standard gRPC health protocol."""

from __future__ import annotations

from enum import StrEnum

SERVICES = ("ingestion", "dedup", "attribution", "delivery", "query")
"""The five services: `tributary_<name>` is the module, `tributary.<name>.v1.<Name>Service` the contract."""

_TIMEOUT_SECONDS = 2.0


class Health(StrEnum):
    """What a service answers; the text is shown to people."""

    SERVING = "serving"
    NOT_SERVING = "not serving"
    UNREACHABLE = "unreachable"


def contract_of(service: str) -> str:
    """Returns the name under which a service reports its readiness.

    >>> contract_of("dedup")
    'tributary.dedup.v1.DedupService'
    """
    return f"tributary.{service}.v1.{service.title()}Service"


def check_health(target: str, service: str, timeout_seconds: float = _TIMEOUT_SECONDS) -> Health:
    """Asks once.

    Args:
        target: host:port, or anything else a gRPC channel connects to.
        service: One of `SERVICES`.
        timeout_seconds: How long to wait for a connection and the answer together.
    """
    import grpc  # heavy: only who asks pays
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    with grpc.insecure_channel(target) as channel:
        request = health_pb2.HealthCheckRequest(service=contract_of(service))
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=timeout_seconds)
        except grpc.RpcError:
            return Health.UNREACHABLE
    return Health.SERVING if answer.status == health_pb2.HealthCheckResponse.SERVING else Health.NOT_SERVING
