"""Collects everything that is wrong with a request, so that its caller hears of it at once."""

from __future__ import annotations

from tributary_runtime.errors import FieldViolation, InvalidRequestError


class Violations:
    """What is wrong with one request, field by field."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        """Starts with nothing wrong."""
        self._found: list[FieldViolation] = []

    def add(self, field: str, description: str, reason: str = "") -> None:
        """Adds what is wrong with a field, and what would be right."""
        self._found.append(FieldViolation(field, description, reason))

    def raise_if_any(self) -> None:
        """Refuses the request if anything is wrong with it.

        Raises:
            InvalidRequestError: With all that was found.
        """
        if self._found:
            message = "This cannot be answered as it was asked; each violation says what to ask instead."
            raise InvalidRequestError(message, self._found)


def refuse(field: str, description: str, reason: str = "") -> InvalidRequestError:
    """Returns the error for one thing that is wrong."""
    return InvalidRequestError(description, [FieldViolation(field, description, reason)])
