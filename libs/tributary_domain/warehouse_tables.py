"""What a data warehouse is given: tables, their columns and the key of a row, at one version of the schema.

The one rule: a row never changes. Its key has the revision in it, so whatever is loaded twice, late or in another order
comes to the same; a revision that replaces another is a row of its own, and the newest wins.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

SCHEMA_VERSION: Final = 1
"""Stands in paths and manifests. A column that is added, changed or dropped is another version, beside this one."""


class WarehouseTable(StrEnum):
    """A table that can be chosen."""

    CONVERSIONS = "conversions"
    CONVERSION_REVISIONS = "conversion_revisions"
    CREDITS = "credits"
    POSTINGS = "postings"


WITHDRAWALS: Final = "withdrawals"
"""The table that is always there: conversions whose rows are to be deleted, because a person was erased."""


class ColumnKind(StrEnum):
    """What a column holds, whatever a warehouse calls that."""

    TEXT = "text"
    WHOLE = "whole"
    """A whole number of 64 bits: money in micros, credit in millionths."""
    TRUTH = "truth"
    TIME = "time"
    """A moment in UTC, to the microsecond."""
    DAY = "day"


@dataclass(frozen=True, slots=True)
class Column:
    """A column; none is ever null."""

    name: str
    kind: ColumnKind


@dataclass(frozen=True, slots=True)
class Table:
    """A table."""

    name: str
    meaning: str
    """One row per what."""
    key: tuple[str, ...]
    """What no two rows share."""
    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in their order."""
        return tuple(column.name for column in self.columns)


def _columns(text: str) -> tuple[Column, ...]:
    """Reads `name:kind name name:kind`; without a kind it is text."""
    found = []
    for part in text.split():
        name, _, kind = part.partition(":")
        found.append(Column(name, ColumnKind(kind or "text")))
    return tuple(found)


_REVISION: Final = _columns("""
    workspace conversion_id revision:whole previous_revision:whole
    conversion_time:time name role is_primary:truth traffic store order_id cycle person_id origin customer_type
    subscription_id recurrence_kind lead_stage coupon_codes experiment_id experiment_arm first_accept_time:time
    currency value_micros:whole original_value_micros:whole value_source value_basis
    reporting_currency reporting_value_micros:whole
    counted:truth not_counted_reason retracted:truth value_pending:truth
    causes settings_version publish_time:time posting_date:day batch_id
""")

_TOUCH: Final = """
    model position:whole touch_id touch_time:time touch_kind channel sub_channel source medium campaign campaign_id
    ad_destination ad_account_id ad_campaign_id
"""

TABLES: Final = {
    table.name: table
    for table in (
        Table(
            WarehouseTable.CONVERSIONS,
            "One row per conversion and batch, as its newest revision there; of all its rows the newest revision wins.",
            ("workspace", "conversion_id", "revision"),
            _REVISION,
        ),
        Table(
            WarehouseTable.CONVERSION_REVISIONS,
            "One row per conversion and revision: everything a conversion ever was, and why.",
            ("workspace", "conversion_id", "revision"),
            _REVISION,
        ),
        Table(
            WarehouseTable.CREDITS,
            "One row per conversion, revision, model and touch that earned credit; what nobody earned is unattributed.",
            ("workspace", "conversion_id", "revision", "model", "position"),
            _columns(f"""
                workspace conversion_id revision:whole {_TOUCH}
                credit_micros:whole currency value_micros:whole unattributed_reason
                counted:truth value_pending:truth name conversion_time:time batch_id
            """),
        ),
        Table(
            WarehouseTable.POSTINGS,
            "One row per change of a touch's credit: a revision's credit added on its posting day, that of the one it "
            "replaces taken back. Sums by posting day are the books; what is not counted is never posted.",
            ("workspace", "conversion_id", "revision", "posted_revision", "model", "position"),
            _columns(f"""
                workspace conversion_id revision:whole posted_revision:whole posting_date:day {_TOUCH}
                credit_micros:whole currency value_micros:whole name conversion_time:time batch_id
            """),
        ),
        Table(
            WITHDRAWALS,
            "One row per conversion whose rows are to be deleted everywhere: its person was erased. What keeps the "
            "totals equal comes as rows under a random id.",
            ("workspace", "conversion_id"),
            _columns("workspace conversion_id withdraw_time:time batch_id"),
        ),
    )
}
"""Every table by its name."""
