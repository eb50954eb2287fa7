"""Reads requests. Here and not in gRPC, which answers INTERNAL to bytes that are no request."""

from collections.abc import Sized
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from tributary_runtime.errors import FieldViolation, InvalidRequestError

_Request = TypeVar("_Request", bound=Message)


def parse(kind: type[_Request], body: bytes) -> _Request:
    """Returns a request.

    Raises:
        InvalidRequestError: The bytes are none.
    """
    try:
        return kind.FromString(body)
    except DecodeError as error:
        message = f"The request is no {kind.DESCRIPTOR.name}: not protobuf, or a text that is not UTF-8."
        raise InvalidRequestError(message, reason="REQUEST_MALFORMED") from error


def check_count(found: Sized, field: str, most: int, *, least: int = 1) -> None:
    """Refuses a request with too few or too many of something.

    Raises:
        InvalidRequestError: There are.
    """
    if not least <= len(found) <= most:
        description = f"Send {least} to {most} at a time."
        raise InvalidRequestError(description, [FieldViolation(field, description, f"{field.upper()}_OUT_OF_RANGE")])
