"""Rows of the ledger that say otherwise than was published, and in what.

The one rule: a row is held against its own message, and the message against the row of the revision before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_storage.clickhouse.ledger_rows import Change, LedgerRow

UNREADABLE: Final = "revised"
UNCHAINED: Final = "revised: its deltas"
DAMAGES: Final = frozenset({UNREADABLE, UNCHAINED})
"""What is wrong with a message itself, where columns are named otherwise."""
PREVIOUS: Final = "previous_revision"


@dataclass(frozen=True, slots=True)
class Altered:
    """A row that says otherwise than was published."""

    row: LedgerRow
    names: tuple[str, ...]
    """The columns."""
    before: LedgerRow | None
    """The row of the revision before it; None: there is none, or nobody can read it."""

    @property
    def is_itself_damaged(self) -> bool:
        """Tells whether it is its message that is damaged."""
        return not DAMAGES.isdisjoint(self.names)

    @property
    def is_misnumbered(self) -> bool:
        """Tells whether a column has another number of the one before it, and the message that of the one there is."""
        change = self.row.change
        return PREVIOUS in self.names and change is not None and change.previous_revision == self.number_before

    @property
    def number_before(self) -> int:
        """Returns the number of the one before it that has a row; 0: none has."""
        return self.before.revision if self.before is not None else 0

    def renumbered(self) -> ConversionRevised | None:
        """Returns its message with that number, where it has another; None: it has not, or is wrong beside it."""
        change, said = self.row.change, self.row.said
        if self.is_itself_damaged or PREVIOUS not in self.names or change is None or said is None:
            return None
        if change.previous_revision == self.number_before:
            return None
        if not adds_up(self.before, change._replace(previous_revision=self.number_before)):
            return None
        said.previous_revision = self.number_before
        return said


def adds_up(before: LedgerRow | None, change: Change) -> bool:
    """Tells whether a revision changed value and count by what lies between it and the one before.

    Where that is not there, or cannot be read, nobody can tell.
    """
    if change.previous_revision and (before is None or before.change is None):
        return True
    if (before.revision if before is not None else 0) != change.previous_revision:
        return True  # a broken chain, which others find
    value = counted = 0
    if before is not None and before.change is not None:
        value, counted = before.change.value_micros, before.change.counted
    deltas = change.value_micros - value, change.counted - counted
    return deltas == (change.value_delta_micros, change.counted_delta)
