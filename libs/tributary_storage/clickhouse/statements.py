"""Loads `queries/*.sql`: one question per file, read once, put together from parts that several of them share.

A part stands in a statement as a comment, `/*home*/`. Nothing of a request is ever part of the text: values are
parameters.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Final

PART: Final = re.compile(r"/\*([a-z_]+)\*/")

_TELLING: Final = "(indexOf(['customer', 'email', 'phone', 'visitor', 'device', 'other'], splitByChar(':', t)[1]), t)"
"""By what identifiers are sorted, the most telling first."""
_SHORT: Final = {
    "telling": _TELLING,
    "home": f"arraySort(t -> {_TELLING}, identity_tokens)[1]",
    "theirs": "(revision <= %(there_until)s OR conversion_id IN %(own)s)",
    "not_late": (
        "revision < transform(conversion_id, %(late)s, CAST(%(late_from)s, 'Array(UInt64)'), "
        "toUInt64(18446744073709551615))"
    ),
    "erasures_version": (
        "toInt64(bitShiftRight(groupBitXorIf(cityHash64(erasure_id, toString(state)), state != 'requested'), 1))"
    ),
}
"""`home`: whose an event is, its most telling identifier. `theirs`: what was published of an erased person's
conversions while they were theirs, or of those that are; not of an order that somebody else told again since.
`not_late`: what was published before a conversion began anew that has its copy, and is frozen. `erasures_version`: in
which states erasures are together, another number, never below 0, once one of them got to another; 0: none was through
yet."""
_LONG: Final = frozenset({"of_tokens", "undecided"})


@cache
def statement(name: str) -> str:
    """Returns the text of `queries/<name>.sql`, its shared parts filled in; values are `%(name)s` parameters."""
    text = files("tributary_storage.clickhouse").joinpath("queries", f"{name}.sql").read_text("utf-8")
    return PART.sub(lambda found: _shared(found[1]) or found[0], text)


def without_header(text: str) -> str:
    """Returns a statement as a part of another."""
    return "\n".join(line for line in text.splitlines() if not line.startswith("--"))


def _shared(name: str) -> str | None:
    return without_header(statement(name)) if name in _LONG else _SHORT.get(name)
