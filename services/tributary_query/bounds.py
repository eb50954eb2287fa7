"""How much one answer holds: lists that grow with what happened are cut, and say by how much.

The one rule: nothing is left out silently; whatever is cut counts what it left out, in the message itself.
"""

from __future__ import annotations

from typing import Any, Final

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised

MAX_OBSERVATIONS: Final = 1000
MAX_ADJUSTMENTS: Final = 1000
MAX_TOUCHES: Final = 1000
MAX_DELTAS: Final = 7 * MAX_TOUCHES

PAGE_BYTES: Final = 2_000_000
"""Of revisions: a message may have 4 MiB."""


def bound(revised: ConversionRevised) -> ConversionRevised:
    """Cuts the lists of a revision to what an answer may hold; returns the same message."""
    state = revised.state
    state.observations_omitted = _cut(state.observation_event_ids, MAX_OBSERVATIONS)
    state.adjustments_omitted = _cut(state.adjustments, MAX_ADJUSTMENTS, keep_last=True)
    state.touches_omitted = _cut(state.touches, MAX_TOUCHES, keep_last=True)
    revised.deltas_omitted = _cut(revised.deltas, MAX_DELTAS)
    return revised


def _cut(values: Any, most: int, *, keep_last: bool = False) -> int:
    """Leaves the first values, or the last; returns how many are gone."""
    omitted = max(0, len(values) - most)
    if omitted:
        del values[slice(omitted) if keep_last else slice(most, None)]
    return omitted
