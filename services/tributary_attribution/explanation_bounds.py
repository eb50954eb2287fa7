"""How much one explanation holds: a message may have 4 MiB, and texts of sources may be long.

The one rule: nothing is left out silently; whatever is cut counts what it left out, in the message itself. What is
nearest to the conversion stays.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.attribution.v1.explanation_pb2 import Explanation

TOUCHPOINT_BYTES: Final = 800_000
SHARE_BYTES: Final = 800_000
"""Of all models together."""
PUBLISHED_BYTES: Final = 400_000


def bound(message: Explanation) -> Explanation:
    """Cuts the lists of an explanation to what an answer may hold; returns the same message."""
    message.touchpoints_omitted += _cut(message.touchpoints, TOUCHPOINT_BYTES)
    for model in message.models:
        model.shares_omitted = _cut(model.shares, SHARE_BYTES // len(message.models))
    message.published_touches_omitted = _cut(message.published_touches, PUBLISHED_BYTES)
    return message


def pending_revisions(contents: Iterable[bytes]) -> list[ConversionRevised]:
    """Reads revisions, oldest first; the newest stays whole, those before it say how much they held."""
    revisions = [ConversionRevised.FromString(content) for content in contents]
    for revised in revisions[:-1]:
        revised.state.touches_omitted, revised.deltas_omitted = len(revised.state.touches), len(revised.deltas)
        revised.state.ClearField("touches")
        revised.ClearField("deltas")
    return revisions


def _cut(values: Any, room: int) -> int:
    """Leaves the last values, as many as there is room for; returns how many are gone."""
    kept = len(values)
    while kept and room >= 0:
        room -= values[kept - 1].ByteSize() + 5  # with its tag and length
        kept -= 1
    omitted = kept if room >= 0 else kept + 1
    del values[:omitted]
    return omitted
