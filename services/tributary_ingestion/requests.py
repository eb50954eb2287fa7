"""Reads requests. Here and not in gRPC, which answers INTERNAL to bytes that are no request."""

from collections.abc import Sized
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from tributary_ingestion import sliced
from tributary_ingestion.sliced import Request as Sliced
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
        raise malformed(kind.DESCRIPTOR.name) from error


def parse_sliced(kind: type[Sliced], body: bytes) -> Sliced:
    """Returns a request whose events may be sliced, see `sliced.parse`.

    Raises:
        InvalidRequestError: The bytes are none.
    """
    try:
        return sliced.parse(kind, body)
    except DecodeError as error:
        raise malformed(kind.DESCRIPTOR.name) from error


def malformed(kind: str) -> InvalidRequestError:
    """Returns the error for bytes that are no request of a kind, or of which a part is malformed."""
    message = f"The request is no {kind}: not protobuf, or a text that is not UTF-8."
    return InvalidRequestError(message, reason="REQUEST_MALFORMED")


def check_count(found: Sized, field: str, most: int, *, least: int = 1) -> None:
    """Refuses a request with too few or too many of something.

    Raises:
        InvalidRequestError: There are.
    """
    if not least <= len(found) <= most:
        description = f"Send {least} to {most} at a time."
        raise InvalidRequestError(description, [FieldViolation(field, description, f"{field.upper()}_OUT_OF_RANGE")])
