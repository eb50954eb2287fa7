"""How a channel to Tributary is opened, and what a call shows.

The one rule: nobody retries behind the client's back. The client tries again itself, with the same ids and the server's
delay; two loops would multiply.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import grpc

Metadata = tuple[tuple[str, str | bytes], ...]

_ROUND_ROBIN: Final[Mapping[str, object]] = {"round_robin": {}}
_LEAVES_ALONE_WHO_FAILS: Final[Mapping[str, object]] = {
    # As gRPC's proposal A50 has it: an address whose calls mostly fail, or are given up, while others are answered is
    # left alone for a while; never more than about a third of all, and never the only one.
    "outlier_detection_experimental": {
        "interval": "5s",
        "baseEjectionTime": "30s",
        "maxEjectionTime": "300s",
        "maxEjectionPercent": 33,
        "failurePercentageEjection": {
            "threshold": 50,
            "enforcementPercentage": 100,
            "minimumHosts": 2,
            "requestVolume": 1,
        },
        "childPolicy": [_ROUND_ROBIN],
    }
}
# The first that gRPC knows: one that has taken the experiment back goes round all.
_SERVICE_CONFIG: Final = json.dumps({"loadBalancingConfig": [_LEAVES_ALONE_WHO_FAILS, _ROUND_ROBIN]})

OPTIONS: Final[Mapping[str, str | int]] = {
    # Spreads calls over all addresses of a name, and notices dead ones and those that hang. Before a load balancer that
    # is one address.
    "grpc.service_config": _SERVICE_CONFIG,
    "grpc.service_config_disable_resolution": 1,  # a DNS record must not switch gRPC's own retries on
    "grpc.enable_retries": 0,
    "grpc.keepalive_time_ms": 60_000,
    "grpc.keepalive_timeout_ms": 10_000,
    "grpc.keepalive_permit_without_calls": 0,
    # Comes back soon after an outage, instead of after up to two minutes.
    "grpc.initial_reconnect_backoff_ms": 200,
    "grpc.min_reconnect_backoff_ms": 200,
    "grpc.max_reconnect_backoff_ms": 5_000,
    "grpc.dns_min_time_between_resolutions_ms": 5_000,  # new replicas behind a headless name are found soon
}


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS, and where `certificate_chain` is given mutual TLS. All are PEM.

    They are those of the client's whole life: whose certificate is renewed closes it and makes another, with the same
    spool.
    """

    root_certificates: bytes | None = None
    """Who may sign the server's certificate; None: those of the system that gRPC knows."""
    certificate_chain: bytes | None = None
    """The client's own certificate and those that lead to its root."""
    private_key: bytes | None = None
    """The key of the client's certificate."""
    server_name: str = ""
    """What the server's certificate says, where that is not the host of the target."""

    def __post_init__(self) -> None:
        """Refuses half an identity."""
        if (self.certificate_chain is None) != (self.private_key is None):
            raise ValueError("certificate_chain and private_key belong together")

    def credentials(self) -> grpc.ChannelCredentials:
        """Returns gRPC's credentials."""
        return grpc.ssl_channel_credentials(self.root_certificates, self.private_key, self.certificate_chain)


def open_channel(
    target: str, tls: Tls | grpc.ChannelCredentials | None, options: Mapping[str, str | int]
) -> grpc.Channel:
    """Opens a channel; it connects at the first call.

    Args:
        target: "host:port", "dns:///host:port", "unix:path", or any other target of gRPC.
        tls: None sends in the clear, for loopback and service meshes.
        options: Of gRPC, over ours.
    """
    chosen = {**OPTIONS, **options}
    if isinstance(tls, Tls) and tls.server_name:
        chosen["grpc.ssl_target_name_override"] = tls.server_name
    if tls is None:
        return grpc.insecure_channel(target, tuple(chosen.items()))
    credentials = tls.credentials() if isinstance(tls, Tls) else tls
    return grpc.secure_channel(target, credentials, tuple(chosen.items()))


def metadata(api_key: str, traceparent: str = "") -> Metadata:
    """Returns a call's metadata: the credential, and the caller's trace where there is one."""
    credential: tuple[str, str | bytes] = ("authorization", f"Bearer {api_key}")
    return (credential, ("traceparent", traceparent)) if traceparent else (credential,)
