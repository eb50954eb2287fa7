"""Where conversions of a workspace are sent, as `workspaces.yaml` declares it: what all share, and webhooks.

The one rule: a destination gets only what is mapped here; a conversion name without an entry is not sent.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from tributary_domain.settings import AttributionModel
from tributary_domain.value_bases import ValueBasis
from tributary_runtime.declared import Declared, Name, Slug
from tributary_runtime.declared_urls import check_url
from tributary_runtime.secret_references import SecretReference


class SendScope(StrEnum):
    """Which conversions a destination gets, of those mapped and consented."""

    ALL_CONSENTED = "all_consented"
    WITH_OWN_CLICK = "with_own_click"
    CHANNEL_CREDITED = "channel_credited"


class SentValue(StrEnum):
    """Which value a destination is told."""

    FULL = "full"
    BASIS = "basis"
    CREDITED = "credited"


class Pixel(StrEnum):
    """Whether a browser tag tells the destination about the same conversions."""

    NONE = "none"
    SHARED_ID = "shared_id"
    """It does, with the caller's pixel event id; a conversion without one is not eligible."""


class ConversionMapping(Declared):
    """How one conversion name is told to a destination."""

    name: Name | None = None
    """The destination's own name or action id for it; unset: as ours. Where several are called the same by Google, the
    name follows in the ids of their orders ("1001|upsell"), so that an order may have conversions of both; a tag of
    Google's for the same action must share a pixel event id then."""

    renewals: bool = False
    """Whether later payments of a subscription are sent too."""

    object: Slug | None = None
    """Of a CRM: names that say the same here share one object per order; unset: each name has its own."""


def _tell_no_default(schema: dict[str, Any]) -> None:
    """Takes from the JSON schema what holds of some types of destination only."""
    del schema["default"]


_OF_TYPE: Final = Field(json_schema_extra=_tell_no_default)


class Quota(Declared):
    """How fast a destination may be called, by all replicas together; what is left out is as the type's default."""

    requests_per_minute: Annotated[int, Field(ge=1), _OF_TYPE] = 600
    """Calls in any sliding minute at most; of all destinations together that call with the same credential."""

    requests_per_ten_seconds: Annotated[Annotated[int, Field(ge=1)] | None, _OF_TYPE] = None
    """Calls in any sliding ten seconds at most, likewise; null: as many as a minute allows."""

    requests_per_day: Annotated[Annotated[int, Field(ge=1)] | None, _OF_TYPE] = None
    """Calls in any sliding day at most, likewise; null: as many as come."""


class DestinationSettings(Declared):
    """What is said of any destination, whatever its type."""

    reports_later: ClassVar[bool] = False
    """Whether the destination only queues what it takes, and says later what became of it. What there is of each type:
    services/tributary_delivery/README.md."""

    is_sent_each: ClassVar[bool] = True
    """Whether each conversion is a delivery of its own, with a job and lines in the ledger."""

    shares_ids: ClassVar[bool] = True
    """Whether it knows a conversion by the caller's own id, where one was sent."""
    has_objects: ClassVar[bool] = False
    """Whether conversions are objects there, of which a lead has one, whatever its stage."""
    tells_foreign_clicks: ClassVar[bool] = False
    """Whether it says of a conversion, at once, that its click is another account's."""

    @property
    def has_newest(self) -> bool:
        """Whether what it knows a person by holds the conversion that it was told of last, whichever that is."""
        return False

    id: Slug
    """Unique in the workspace; never changes, the sent ledger knows it."""

    type: str
    """What kind of destination it is."""

    conversions: dict[Name, ConversionMapping] = Field(default_factory=dict)
    """Conversion names to send, and what each is called there."""

    allow_private_addresses: bool = False
    """Whether http, loopback and private networks may be called. For a laptop only: else a request forger's door."""

    hold_seconds: Annotated[int, Field(ge=0, le=7 * 86_400)] = 0
    """How long a conversion waits before it is sent first, so that early changes travel with it; at most until six
    hours before it would be too old."""

    paused: bool = False
    """Whether jobs are only collected."""

    send_scope: SendScope = SendScope.ALL_CONSENTED
    """all_consented | with_own_click | channel_credited."""

    value: SentValue = SentValue.FULL
    """full | basis | credited: which value is told; credited: the share of `channels` by `value_model`, frozen when it
    is sent first. What was sent under another value goes on under that. A webhook's is full: beside it each message
    says `credited_value`, and what each model credits."""

    value_basis: ValueBasis | None = None
    """Leave it out: a basis value is on the basis that the conversion's name is credited on. Refunds are kept on that
    one alone, so a value on another could not be corrected."""

    value_model: AttributionModel | None = None
    """The model of a credited value."""

    pixel: Pixel = Pixel.NONE
    """none | shared_id: whether a browser tag tells the destination about the same conversions."""

    channels: tuple[Name, ...] = ()
    """The channels that are this destination's own, for channel_credited and for a credited value."""

    send_test_traffic: bool = False
    """Whether events marked TEST are sent, by the destination's test mode alone: they count nowhere, and where there is
    none they are not sent."""

    quota: Quota = Quota()
    """How fast it may be called."""

    @field_validator("quota", mode="before")
    @classmethod
    def _over_that_of_the_type(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        of_type: Quota = cls.model_fields["quota"].default
        return {**of_type.model_dump(), **given}

    @model_validator(mode="after")
    def _check_scope(self) -> Self:
        if self.send_scope is SendScope.CHANNEL_CREDITED and not self.channels:
            raise ValueError("send_scope channel_credited needs channels")
        if self.value_basis is not None:
            raise ValueError(
                "value_basis: leave it out. A basis value is on the basis that the conversion's name is credited on: "
                "refunds are kept on that alone, and a value on another could not be corrected. Set value_basis of the "
                "name in the workspace's conversions, and value: basis here"
            )
        if not self.has_objects and any(mapping.object for mapping in self.conversions.values()):
            raise ValueError(f"conversions: object is of CRMs only; {self.type} has none")
        return self

    def name_of(self, conversion_name: str) -> str | None:
        """Returns what a conversion is called there, or None if it is not sent there."""
        mapping = self.conversions.get(conversion_name)
        return None if mapping is None else mapping.name or conversion_name

    def shares_name(self, conversion_name: str) -> bool:
        """Tells whether another conversion name is called the same there: an order may have conversions of both."""
        own = self.name_of(conversion_name)
        return sum(self.name_of(one) == own for one in self.conversions) > 1

    def takes_renewals(self, conversion_name: str) -> bool:
        """Tells whether later payments of a subscription are sent there under a conversion name."""
        mapping = self.conversions.get(conversion_name)
        return mapping is not None and mapping.renewals

    @property
    def account(self) -> str:
        """Where in the destination a conversion is known: what was sent to one account, another knows nothing of.

        Empty: the credential says it, or it is one place whatever its address.
        """
        return ""

    @property
    def leaves_within_seconds(self) -> float | None:
        """How old a conversion may be when it is sent, wherever it happened; None: as old as it is."""
        return None

    @property
    def confirmation_seconds(self) -> float:
        """How long a correction waits at most for the report that what it corrects was taken; 0: not at all."""
        return 0.0

    @property
    def has_test_mode(self) -> bool:
        """Whether this destination can be told of a test so that it counts nowhere."""
        return False

    @property
    def click_families(self) -> frozenset[str]:
        """The families of click ids that this destination gives out; empty: it gives out none."""
        return frozenset()


class WebhookDestination(DestinationSettings):
    """An HTTPS address of the workspace's own; calls are signed as Standard Webhooks asks."""

    shares_ids: ClassVar[bool] = False

    type: Literal["webhook"]
    """webhook."""

    url: Annotated[str, Field(max_length=2048)]
    """Where to post to; https, unless private addresses are allowed."""

    secret: SecretReference
    """Signs every call: whsec_ and base64 of at least 24 bytes, or at least 24 characters without whsec_: base64, or
    any other text. With less, or with what is no base64 after whsec_, nothing is sent and the destination is paused."""

    previous_secret: SecretReference | None = None
    """Also signs while receivers change to `secret`."""

    @property
    def has_test_mode(self) -> bool:
        """A test is marked as one."""
        return True

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_url("url", self.url, allow_http=self.allow_private_addresses)
        if self.value is not SentValue.FULL or self.value_model is not None:
            raise ValueError(
                "value must be full, and value_model left out: a webhook is told the value as sent, beside it "
                "credited_value where the name is credited on another basis, and the credit of every model"
            )
        return self
