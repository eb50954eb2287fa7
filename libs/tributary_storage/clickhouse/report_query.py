"""What a report asks for, in our words, checked before it gets here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tributary_storage.clickhouse.credit_columns import MODELS

Key = tuple[str | int, ...]
"""A row's dimension values, as they are sorted."""


class Metric(StrEnum):
    """A number that conversions and their credit give."""

    CONVERSIONS = "conversions"
    """Credited conversions, in millionths."""
    VALUE = "value"
    """Credited value, in micros; one currency per row."""
    CONVERSIONS_ASSISTED = "conversions_assisted"
    """Conversions with any credit in the row."""
    TOUCHPOINTS = "touchpoints"
    """Touchpoints that earned credit."""
    REPORTING_VALUE = "reporting_value"
    """Credited value in the reporting currency, in micros, of what has a rate."""


class Dimension(StrEnum):
    """What rows are grouped by."""

    CHANNEL = "channel"
    SOURCE = "source"
    MEDIUM = "medium"
    CAMPAIGN = "campaign"
    CONVERSION_NAME = "conversion_name"
    CURRENCY = "currency"
    DAY = "day"
    """`YYYY-MM-DD`."""
    HOUR = "hour"
    """Start of the hour, seconds since 1970: where clocks are set back, one hour of the day comes twice."""
    MODEL = "model"
    UNATTRIBUTED_REASON = "unattributed_reason"
    SUB_CHANNEL = "sub_channel"
    AD_DESTINATION = "ad_destination"


class Basis(StrEnum):
    """The clock that rows are chosen and cut by (SEMANTICS section 15)."""

    CONVERSION = "conversion"
    TOUCHPOINT = "touchpoint"
    """What nobody earned has no touchpoint and is dated by its conversion."""
    POSTING = "posting"
    """Whole days of the books; a revision posts what it adds to the state, and takes back what it replaced."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Keeps rows by the value of a dimension."""

    dimension: Dimension
    values: tuple[str, ...]
    is_excluding: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportQuery:
    """A report of one workspace."""

    workspace: str
    metrics: Sequence[Metric]
    dimensions: Sequence[Dimension] = ()
    model: str = ""
    """One of `MODELS`; not used where MODEL is a dimension."""
    own_models: Sequence[tuple[str, str]] = ()
    """Conversion names that are credited under another model, and which. Not used where MODEL is a dimension."""
    start_micros: int = 0
    end_micros: int = 0
    """Half-open. Not used with POSTING."""
    start_date: str = ""
    end_date: str = ""
    """Half-open, `YYYY-MM-DD` in the books' zone. Only used with POSTING."""
    filters: Sequence[Filter] = ()
    basis: Basis = Basis.CONVERSION
    time_zone: str = "UTC"
    """That days and hours are cut in."""
    as_of_micros: int | None = None
    """What was published by then; None: all."""
    reporting_currency: str = ""
    """Only used with REPORTING_VALUE."""
    not_primary_names: Sequence[str] = ()
    """Conversion names that totals leave out."""
    after: Key | None = None
    """Only rows after this one."""
    limit: int = 1000

    def __post_init__(self) -> None:
        """Refuses what no statement can be made of: a bug of the caller."""
        if not self.metrics:
            raise ValueError("a report needs at least one metric")
        if Dimension.MODEL not in self.dimensions and self.model not in MODELS:
            raise ValueError(f"the model {self.model!r} has no columns")
        if not {model for _, model in self.own_models}.issubset(MODELS):
            raise ValueError("a name's own model has no columns")
        if self.basis is Basis.POSTING and (Dimension.HOUR in self.dimensions or set(self.metrics) & NOT_POSTED):
            raise ValueError("postings have days only, and only what adds up")
        if self.after is not None and len(self.after) != len(self.dimensions):
            raise ValueError("`after` has one value per dimension")


NOT_POSTED: Final = frozenset({Metric.CONVERSIONS_ASSISTED, Metric.TOUCHPOINTS})
"""Metrics that do not add up over postings."""
