"""What a `google.rpc.Status` says, read without the package that carries it: the base install is grpcio and protobuf.

The one rule: RetryInfo is read wherever it is, in the trailers of a failed call or in the answer to a batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import grpc
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, duration_pb2, message_factory

from tributary.common.v1.status_pb2 import Status

_DETAILS = "grpc-status-details-bin"
_CODES = {code.value[0]: code for code in grpc.StatusCode}


def _retry_info() -> type:
    """Describes google.rpc.RetryInfo in a pool of its own, so that it meets no other description of it."""
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(duration_pb2.DESCRIPTOR.serialized_pb)
    file = descriptor_pb2.FileDescriptorProto(
        name="tributary_client/retry_info.proto",
        package="google.rpc",
        syntax="proto3",
        dependency=["google/protobuf/duration.proto"],
    )
    message = file.message_type.add(name="RetryInfo")
    message.field.add(
        name="retry_delay",
        number=1,
        type=descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE,
        label=descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL,
        type_name=".google.protobuf.Duration",
    )
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("google.rpc.RetryInfo"))


_RETRY_INFO = _retry_info()


def code_of(status: Status) -> grpc.StatusCode:
    """Returns the code; UNKNOWN for a number that is none."""
    return _CODES.get(status.code, grpc.StatusCode.UNKNOWN)


def retry_after_seconds(details: Iterable[any_pb2.Any]) -> float:
    """Returns the delay that the details of a status ask for; 0 where there is none."""
    for detail in details:
        if detail.type_url.endswith("/google.rpc.RetryInfo"):
            delay = _RETRY_INFO.FromString(detail.value).retry_delay  # type: ignore[attr-defined]
            return float(delay.seconds + delay.nanos / 1e9)
    return 0.0


def retry_after_trailers(trailers: Sequence[tuple[str, str | bytes]]) -> float:
    """Returns the delay that a failed call's trailing metadata asks for; 0 where there is none."""
    for key, value in trailers:
        if key == _DETAILS and isinstance(value, bytes):
            return retry_after_seconds(Status.FromString(value).details)
    return 0.0
