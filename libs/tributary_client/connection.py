"""How a channel to Tributary is opened: the same options for the blocking and the asyncio client."""

from __future__ import annotations

from typing import Final

OPTIONS: Final[list[tuple[str, str | int]]] = [
    # Spreads calls over all replicas behind a headless service, and notices dead ones.
    ("grpc.lb_policy_name", "round_robin"),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 0),
    # The client retries itself, with the same ids and the server's delay; two loops would multiply.
    ("grpc.enable_retries", 0),
]


def metadata(api_key: str, traceparent: str | None) -> tuple[tuple[str, str | bytes], ...]:
    """Returns a call's metadata: the credential, and the caller's trace where there is one."""
    credential: tuple[str, str | bytes] = ("authorization", f"Bearer {api_key}")
    return (credential, ("traceparent", traceparent)) if traceparent else (credential,)
