"""When to try again: full-jitter exponential backoff, and never before the server's RetryInfo."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, duration_pb2, message_factory


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long and how often a call is tried again."""

    total_seconds: float = 60.0
    """From the first attempt to the last; then `OverdueError`."""
    first_delay_seconds: float = 0.1
    """Upper bound of the first pause; each later bound is twice the one before."""
    max_delay_seconds: float = 5.0
    """Upper bound of every pause, unless the server asks for more."""
    attempt_seconds: float = 10.0
    """Deadline of one attempt."""

    def __post_init__(self) -> None:
        """Refuses spans that are not positive."""
        for name in ("total_seconds", "first_delay_seconds", "max_delay_seconds", "attempt_seconds"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive")

    def delay_seconds(self, attempt: int, retry_after_seconds: float = 0.0) -> float:
        """Returns the pause after attempt number `attempt` (from 1).

        Full jitter (M. Brooker, "Exponential Backoff And Jitter"): uniform between 0 and the bound, so that callers
        that failed together do not come back together. What the server asked for is added below it.
        """
        bound = min(self.max_delay_seconds, self.first_delay_seconds * 2 ** min(attempt - 1, 30))
        return retry_after_seconds + random.uniform(0, bound)  # noqa: S311 - spreads load, guards nothing


def _retry_info_pool() -> descriptor_pool.DescriptorPool:
    """Describes google.rpc.Status and RetryInfo, which the base install does not carry, in a pool of their own."""
    pool = descriptor_pool.DescriptorPool()
    for known in (any_pb2, duration_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    file = descriptor_pb2.FileDescriptorProto(
        name="tributary_client/status.proto",
        package="google.rpc",
        syntax="proto3",
        dependency=["google/protobuf/any.proto", "google/protobuf/duration.proto"],
    )
    kinds = descriptor_pb2.FieldDescriptorProto
    status = file.message_type.add(name="Status")
    status.field.add(name="code", number=1, type=kinds.TYPE_INT32, label=kinds.LABEL_OPTIONAL)
    status.field.add(name="message", number=2, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
    status.field.add(
        name="details",
        number=3,
        type=kinds.TYPE_MESSAGE,
        label=kinds.LABEL_REPEATED,
        type_name=".google.protobuf.Any",
    )
    retry_info = file.message_type.add(name="RetryInfo")
    retry_info.field.add(
        name="retry_delay",
        number=1,
        type=kinds.TYPE_MESSAGE,
        label=kinds.LABEL_OPTIONAL,
        type_name=".google.protobuf.Duration",
    )
    pool.AddSerializedFile(file.SerializeToString())
    return pool


_POOL = _retry_info_pool()
_STATUS = message_factory.GetMessageClass(_POOL.FindMessageTypeByName("google.rpc.Status"))
_RETRY_INFO = message_factory.GetMessageClass(_POOL.FindMessageTypeByName("google.rpc.RetryInfo"))


def retry_after_seconds(trailers: Sequence[tuple[str, str | bytes]]) -> float:
    """Returns the RetryInfo delay of a failed call's trailing metadata; 0 where there is none."""
    for key, value in trailers:
        if key != "grpc-status-details-bin" or not isinstance(value, bytes):
            continue
        for detail in _STATUS.FromString(value).details:  # type: ignore[attr-defined]
            if detail.type_url.endswith("/google.rpc.RetryInfo"):
                delay = _RETRY_INFO.FromString(detail.value).retry_delay  # type: ignore[attr-defined]
                return float(delay.seconds + delay.nanos / 1e9)
    return 0.0
