"""What every part of `workspaces.yaml` has in common.

The one rule: a file that says something we do not understand is refused, with the place and without the value (it may
be a secret).
"""

from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema

from tributary_domain.blanks import bare

MICROS = 1_000_000
MAX_AMOUNT = 10**12
"""Units of a currency; amounts are int64 micros."""


class Declared(BaseModel):
    """A part of `workspaces.yaml`: frozen, unknown keys refused."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        validate_default=True,
    )


def _to_micros(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError('write an amount as a whole number or in quotes ("19.99"); a float cannot be exact')
    try:
        micros = Decimal(value) * MICROS
    except InvalidOperation:
        raise ValueError('must be an amount like 20 or "19.99"') from None
    if not micros.is_finite() or micros != micros.to_integral_value():
        raise ValueError("an amount has at most six decimals")
    if abs(micros) > MAX_AMOUNT * MICROS:
        raise ValueError("is larger than any amount we can hold")
    return int(micros)


AmountMicros = Annotated[
    int,
    BeforeValidator(_to_micros),
    WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "string", "pattern": r"^-?\d+(\.\d{1,6})?$"}]}),
]
"""An amount, written in units of its currency (20 or "19.99"), held in micros."""

Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
"""Lower-case letters, digits and dashes, at most 63: an id that never changes."""


def _without_blanks(name: str) -> str:
    if bare(name) != name:  # what comes is read without them: it would be of another name
        raise ValueError("has a blank, or what cannot be seen, at an end: take it off")
    return name


Name = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_without_blanks)]
"""A conversion name, or another short text."""

Pattern = Annotated[str, Field(min_length=1, max_length=256)]
"""Compared without regard to case; `*` stands for any text."""

Domain = Annotated[str, Field(pattern=r"^(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)+$", max_length=253)]
"""A host name in lower case, with its sub-domains; no scheme, no path."""

CurrencyCode = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
"""ISO 4217."""

RegionCode = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
"""ISO 3166-1 alpha-2."""


def describe_problems(error: ValidationError) -> list[str]:
    """Lists what is wrong with a file: `workspaces.0.api_keys.1.scope: unknown key`, in the order of the file."""
    found = []
    for problem in error.errors(include_input=False, include_url=False):
        place = ".".join(str(step) for step in problem["loc"]) or "file"
        match problem["type"]:
            case "extra_forbidden":
                what = "unknown key"
            case "missing":
                what = "is required"
            case _:
                what = problem["msg"].removeprefix("Value error, ")
        found.append(f"{place}: {what}")
    return found
