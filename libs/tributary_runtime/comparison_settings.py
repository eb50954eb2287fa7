"""What a workspace says in `workspaces.yaml` about what others state: deals of a CRM, spend, what waits too long.

The one rule: what others state is compared with conversions and never changes them by itself.
"""

from datetime import date
from typing import Annotated, Self

from pydantic import Field, model_validator

from tributary_runtime.declared import Declared, Name, Pattern


class DealMatching(Declared):
    """How CRM deals are compared with conversions."""

    amount_tolerance_percent: Annotated[int, Field(ge=0, le=100)] = 1
    """Amounts this close, in hundredths of the conversion's, are equal."""

    date_tolerance_days: Annotated[int, Field(ge=0, le=90)] = 3
    """Where only contact and amount link a deal and a conversion: how many days may be between theirs, in the zone of
    the books (`reporting.time_zone`)."""

    due_days: Annotated[int, Field(ge=0, le=365)] = 30
    """A conversion without a deal is not yet due for this long: it is missing in the CRM to a run of reconciliation in
    whose days it came due."""

    own_creators: tuple[Pattern, ...] = ("*tributary*",)
    """Who `created_by` names where our own destinations made the deal: such deals are never evidence. Compared without
    regard to case; `*` stands for any text. What is given replaces the default; name whoever the CRM says our access
    belongs to. Of a creator with an e-mail address, a phone number, a network address or a user agent no more is kept
    than whether it was ours when the deal came, or a token, which only the whole name without `*` still matches."""


class SpendMapping(Declared):
    """Which campaign's spend touches belong to that name it in words of their own; all given conditions must hold."""

    destination: Name
    """Whose spend, as imported: google, meta."""

    account_id: Name
    """The advertiser's account there."""

    campaign_id: Name
    """The campaign there."""

    source: Pattern | None = None
    """Source of the touch."""

    medium: Pattern | None = None
    """Medium of the touch."""

    campaign: Pattern | None = None
    """Campaign of the touch."""

    valid_from: date | None = None
    """First day, in the account's zone, on which it holds; unset: since ever."""

    valid_through: date | None = None
    """Last such day; unset: until another says otherwise."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not any((self.source, self.medium, self.campaign)):
            raise ValueError("a spend mapping needs at least one of source, medium, campaign")
        if self.valid_from and self.valid_through and self.valid_from > self.valid_through:
            raise ValueError("valid_from is after valid_through")
        return self


class SpendJoin(Declared):
    """How imported spend finds its touches, where they carry no ids of it (SEMANTICS section 16)."""

    mappings: tuple[SpendMapping, ...] = ()
    """First match wins; asked after the ids and before names."""

    source_destinations: dict[Name, Name] = Field(default_factory=dict)
    """Source of a touch -> the destination within which its campaign's name is looked for, beside the shipped list."""


class FindingDelays(Declared):
    """After how long something that waits is a finding of reconciliation."""

    pending_value_hours: Annotated[int, Field(ge=1, le=744)] = 24
    """An order whose amount is outside the expected range, and that nobody released or rejected. Reports tell of it at
    once, beside their totals."""

    unmatched_adjustment_days: Annotated[int, Field(ge=1, le=400)] = 30
    """An adjustment whose conversion never came. It waits all the same, and takes effect should it come."""
