"""JSON with exact numbers: a `Decimal` keeps all its digits, as no float could."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

_MARK: Final = f"decimal {secrets.token_hex(16)} "
"""What no text from outside begins with."""
_MARKED: Final = re.compile(f'"{_MARK}(-?[0-9]+(?:\\.[0-9]+)?)"'.encode())
_MICROS: Final = Decimal(1_000_000)


def json_bytes(value: Any) -> bytes:
    r"""Returns a value as JSON without blanks, in UTF-8.

    >>> json_bytes({"value": Decimal("9007199254740993.10"), "name": "K\xf6ln"}).decode()
    '{"value":9007199254740993.10,"name":"K\xf6ln"}'

    Raises:
        TypeError: There is something in it that JSON has no form for.
    """
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=_marked, allow_nan=False)
    return _MARKED.sub(rb"\1", text.encode())


def units(amount_micros: int) -> Decimal:
    """Returns an amount in units of its currency, exact and without needless zeros but for cents.

    >>> [str(units(one)) for one in (49_900_000, 70_000_000, 1, -5_000_000)]
    ['49.90', '70.00', '0.000001', '-5.00']
    """
    exact = Decimal(amount_micros) / _MICROS
    cents = exact.quantize(Decimal("0.01"))
    return cents if cents == exact else exact.normalize()


def _marked(value: object) -> str | Mapping[Any, Any]:
    if isinstance(value, Decimal):
        return f"{_MARK}{value:f}"
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"no JSON for {type(value).__name__}")
