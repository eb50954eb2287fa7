"""What a workspace says about people in `workspaces.yaml`: who is one person, what they consented to, what is kept.

The one rule: where nothing is said, the most careful reading applies.
"""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from tributary_domain.consent import Purpose
from tributary_runtime.declared import Declared, RegionCode


class IdentitySettings(Declared):
    """Limits that keep strangers from becoming one person (SEMANTICS section 7)."""

    customer_ids_per_person: Annotated[int, Field(ge=1, le=100)] = 1
    """Customer ids one person may have; a further one starts another person."""

    identifiers_per_type: Annotated[int, Field(ge=1, le=1000)] = 5
    """Identifiers of each other type one person may have."""

    flagged_cluster_size: Annotated[int, Field(ge=2)] = 50
    """Connected identifiers from which `tributary identity show` flags them as suspicious."""

    refused_cluster_size: Annotated[int, Field(ge=2)] = 500
    """Connected identifiers beyond which nothing is proved but what a customer id itself was seen with."""

    shared_device_customers: Annotated[int, Field(ge=1)] = 5
    """An identifier seen with more customer ids than this stops linking: a kiosk, a family tablet."""

    shared_device_days: Annotated[int, Field(ge=1, le=365)] = 30
    """The days in which those customer ids are counted."""

    blocked_identifiers: tuple[str, ...] = ()
    """Values that never link anyone, beside the shipped list: test@example.com, 0000. One added later parts from then
    on whom it had joined, also where it was only sent hashed; what was credited before is credited anew when
    something happens to it, or by `tributary reattribute`. Other ids (`other_ids`) are blocked where they come in. So
    is what stands where nothing was filled in ("user-undefined"); one that came in before it was known as such links
    until it is listed here."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.flagged_cluster_size > self.refused_cluster_size:
            raise ValueError("flagged_cluster_size is larger than refused_cluster_size")
        return self


class ConsentDefault(Declared):
    """What is assumed of people of some regions who were not asked, or whose answer was not sent."""

    regions: Annotated[tuple[RegionCode, ...], Field(min_length=1)]
    """ISO 3166-1 codes."""

    granted: tuple[Purpose, ...] = ()
    """Purposes that count as granted there; all others are denied."""


class ErasureMode(StrEnum):
    """What erasing a person leaves."""

    SEVER = "sever"
    """Order value, date and channel-level credit stay under a random id: totals do not change."""
    REMOVE = "remove"
    """Nothing stays; totals change."""


class RetentionSettings(Declared):
    """How long what is kept."""

    journey_days: Annotated[int, Field(ge=2, le=4048)] | None = None
    """How long a person's journey stays in Redis after its last event, where memory is too short for the lookback, the
    accept window and a day; unset, or longer: as long as these. Credit stays exact: what reaches further back is read
    from ClickHouse each time, which takes longer. What data_driven learns of who never converted is of so many days."""

    match_key_days: Annotated[int, Field(ge=1, le=400)] = 100
    """Sealed match keys, from the last time their person was seen: as long as the longest correction window of a
    destination."""

    person_event_months: Annotated[int, Field(ge=1, le=120)] | None = 14
    """Touchpoints, identifications and changes of consent, from when they happened; what was refused, from when it was.
    null: for ever. Where nothing is said: 14, or as many as the lookback needs, and nothing is deleted in the 30 days
    after something is too old and attribution tells of it first (its log, `tributary doctor`). Where it is said, and
    more goes at once than from month to month (the first time, and where it is shortened), nothing is deleted for 3
    days. They go with the month, so at most a month later, and are taken by no backfill any more. Of them stays which
    identifiers were first seen together, and when, by which number the id of a click goes, how those began who
    converted or were seen since, and, added up over all people, what data_driven learned. Conversions, adjustments and
    what they were credited to stay with the ledger. At least as long as the longest lookback, the accept window and a
    day."""

    ledger_years: Annotated[int, Field(ge=1, le=30)] = 10
    """Conversions, adjustments, revisions, credit. No effect in this release: they are kept for ever."""

    erasure: ErasureMode = ErasureMode.SEVER
    """sever | remove: what erasing a person leaves, where who asks for it does not say."""

    @property
    def says_months(self) -> bool:
        """Whether anybody said for how many months events of people are kept."""
        return "person_event_months" in self.model_fields_set
