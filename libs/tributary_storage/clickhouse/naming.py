"""Statements that look in events, as bytes, for the identifiers that they name; however many a person has.

A part stands for that in a statement, `/*naming*/`. All that varies in the text is into how many lists identifiers are
divided: ClickHouse looks for no more than some at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tributary_storage.clickhouse.statements import statement

_AT_ONCE: Final = 255


def naming(name: str, values: Mapping[str, Any], tokens: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Returns a statement, and its values with what it looks for.

    Args:
        name: Of the statement.
        values: Its other values.
        tokens: The identifiers; at least one.
    """
    starts = range(0, len(tokens), _AT_ONCE)
    needles = {f"needles_{start}": list(tokens[start : start + _AT_ONCE]) for start in starts}
    looked_for = " OR ".join(f"multiSearchAny(admitted, %({one})s)" for one in needles)
    return statement(name).replace("/*naming*/", f"({looked_for})"), {**values, **needles}
