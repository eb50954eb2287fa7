"""What a workspace says about its conversions, amounts and channels in `workspaces.yaml`.

The one rule: a conversion name without an entry is counted by the defaults, never refused; a declaration only refines.
"""

from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from tributary_domain.counting import Counting
from tributary_domain.settings import AttributionModel
from tributary_domain.texts import CLICK_IDS
from tributary_domain.url_parameters import CLICK, find_parameter
from tributary_domain.value_bases import ValueBasis
from tributary_runtime.declared import AmountMicros, CurrencyCode, Declared, Name, Pattern
from tributary_runtime.door_settings import OwnVelocityLimits


class Role(StrEnum):
    """What a conversion stands for; values of different roles are never added."""

    REVENUE = "REVENUE"
    LEAD = "LEAD"
    MICRO = "MICRO"


class ObservedBy(StrEnum):
    """Who saw an order."""

    BACKEND = "backend"
    FORWARDED = "forwarded"
    APP = "app"
    BROWSER = "browser"


class ExpectedAmount(Declared):
    """The range an amount of one currency is expected in; outside, the event is quarantined."""

    currency: CurrencyCode
    """ISO 4217."""

    minimum_micros: AmountMicros = Field(alias="minimum", default=0)
    """Smallest expected amount, included."""

    maximum_micros: AmountMicros = Field(alias="maximum")
    """Largest expected amount, included."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.minimum_micros > self.maximum_micros:
            raise ValueError("minimum is larger than maximum")
        return self


class OtherCurrencies(StrEnum):
    """What becomes of an amount in a currency that has no range, of a conversion that has some."""

    WARN = "warn"
    QUARANTINE = "quarantine"


class DefaultValue(Declared):
    """What a conversion is worth that comes without a value."""

    currency: CurrencyCode
    """ISO 4217."""

    amount_micros: AmountMicros = Field(alias="amount", ge=0)
    """The amount; 0 says that it is worth nothing, which is not the same as not known."""


class ConversionDefinition(Declared):
    """How conversions of one name are counted and valued."""

    name: Name
    """As in `Conversion.name`."""

    role: Role = Role.REVENUE
    """REVENUE | LEAD | MICRO."""

    primary: bool = True
    """Whether totals of its role include it."""

    primary_model: AttributionModel | None = None
    """The model that reports show conversions of this name under, unless another is asked for; unset: the
    `primary_model` of `attribution`."""

    counting: Counting = Counting.EVERY
    """every | once_per_person | once_per_session | once_per_click: which of a person's conversions count, in event
    order, of those that the journey still holds; the others are kept and say why they do not. A lead counts from where
    its first stage of the name is, as long as it is not lost; an order that is also told without its cycle likewise. A
    conversion's click is the one whose id it carries itself, in `click_ids` or in its page URL; else the newest before
    it in its journey. After a change here a conversion is looked at again with its person's next event, or by a
    reconciliation."""

    value_basis: ValueBasis = ValueBasis.AS_SENT
    """as_sent | net_of_tax | net_of_tax_and_shipping | margin: which part of a stated value is credited; pinned when
    the conversion is first published. Where a part that it takes off was not sent, the value is credited as sent and
    has the finding `parts_missing`. Delivery sends the value as sent."""

    default_value: DefaultValue | None = None
    """Credited where no source states a value, and shown as `value_source` DEFAULT; pinned when the conversion is first
    published, so that a change here never rewrites the past. Unset: such a conversion has no value, which is not 0."""

    source_rank: Annotated[tuple[ObservedBy, ...], Field(min_length=1)] = (ObservedBy.BACKEND,)
    """Whose value, currency and items win where several observed one order, best first; those not named rank alike,
    last. Two that rank alike and state different values are in CONFLICT. A change is for what arrives from then on."""

    expected_amounts: tuple[ExpectedAmount, ...] = ()
    """Per currency, at most one range each. What is outside is quarantined: a conversion of another value, and an
    adjustment that restates or puts back more than the maximum."""

    other_currencies: OtherCurrencies = OtherCurrencies.WARN
    """warn | quarantine: what becomes of an amount in a currency that `expected_amounts` has no range for, where it has
    any. An adjustment that does not name its conversion is only warned of."""

    velocity: OwnVelocityLimits = OwnVelocityLimits()
    """What differs from the workspace's limits on bursts."""

    @cached_property
    def ranks(self) -> Mapping[ObservedBy, int]:
        """Source to its rank, the higher the better; those that `source_rank` does not name have the lowest, 1."""
        unnamed = len(self.source_rank) < len(ObservedBy)
        named = {source: place + unnamed for place, source in enumerate(reversed(self.source_rank), 1)}
        return {source: named.get(source, 1) for source in ObservedBy}

    def expected_amount(self, currency: str) -> ExpectedAmount | None:
        """Returns the range expected in a currency, if one is declared."""
        return next((expected for expected in self.expected_amounts if expected.currency == currency), None)

    @model_validator(mode="after")
    def _check(self) -> Self:
        currencies = [expected.currency for expected in self.expected_amounts]
        if len(set(currencies)) != len(currencies):
            raise ValueError("expected_amounts names a currency twice")
        if len(set(self.source_rank)) != len(self.source_rank):
            raise ValueError("source_rank names a source twice")
        return self


def _family(name: str) -> str:
    """Returns the family of a click id; one that there is not would be a rule that never holds."""
    kind, family = find_parameter(name) or ("", "")
    if kind == CLICK:
        return family
    if name in CLICK_IDS.names:
        return name
    raise ValueError(f"no click id is called {name}; there are {', '.join(CLICK_IDS.names)}")


class ChannelRule(Declared):
    """Names the channel of a touchpoint before the built-in rules do; all given conditions must hold."""

    channel: Name
    """The channel, e.g. Paid Social."""

    sub_channel: str = ""
    """Any finer name."""

    source: Pattern | None = None
    """UTM source, or the host of the referrer."""

    medium: Pattern | None = None
    """UTM medium."""

    campaign: Pattern | None = None
    """UTM campaign."""

    referrer: Pattern | None = None
    """Host of the referrer."""

    page: Pattern | None = None
    """Path of the landing page."""

    click_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$"), AfterValidator(_family)] | None = None
    """Family of a click id that is present, as links or as events name it: gclid, ScCid."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not any((self.source, self.medium, self.campaign, self.referrer, self.page, self.click_id)):
            raise ValueError("a channel rule needs at least one condition")
        return self
