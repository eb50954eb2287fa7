"""CRMs that are told of conversions: each order and each lead is one object there, known by an id of its own.

The one rule: what an object holds is declared, property by property; nothing is written that the file does not name.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, Field, model_validator

from tributary_runtime.batch_destinations import BatchDestination
from tributary_runtime.destination_settings import Quota
from tributary_runtime.oauth_settings import OAuthGrant

_TOLD = (
    "visible_id|conversion_id|name|order_id|store|value|currency|time|date|stage|lead_id|customer_type|coupon_codes|"
    "email|phone|given_name|family_name|street|city|region|postal_code|country_code|customer_id|"
    r"click_id\.[a-z_]{2,32}"
)
CrmSource = Annotated[str, Field(pattern=f"^({_TOLD})$")]
"""What a property is told: a part of the conversion, of the person, or `click_id.<family>`."""

PropertyName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,79}$")]
"""A property or field of the CRM."""

ConstantText = Annotated[str, Field(max_length=256)]
"""A text that is always the same."""


def _known(zone: str) -> str:
    if zone not in available_timezones():
        raise ValueError("time_zone is none of the IANA time zones")
    return zone


class CrmDestination(BatchDestination):
    """A CRM that conversions are written into."""

    restates: ClassVar[bool] = True
    has_objects: ClassVar[bool] = True
    grants: ClassVar[Mapping[OAuthGrant, str]] = {
        OAuthGrant.REFRESH_TOKEN: "",
    }

    properties: dict[PropertyName, CrmSource] = Field(default_factory=dict)
    """What each property is told: value, currency, time, name, email, click_id.gclid, and so on. `date` is the day in
    the books' zone (`reporting.time_zone`)."""

    constants: dict[PropertyName, ConstantText] = Field(default_factory=dict)
    """Properties that are always told the same: a pipeline, a stage."""

    retracted: dict[PropertyName, ConstantText] = Field(default_factory=dict)
    """What properties are told of a conversion that never was one, beside a value of 0: a lost stage."""

    needs_consent_grant: bool = False
    """Whether a person must have granted `ad_user_data`: one's own CRM is no ad platform."""

    most_age_days: Annotated[int, Field(ge=1, le=400)] = 400
    """How old a conversion may be when it is sent."""

    resend_hours: Annotated[int, Field(ge=0, le=72)] = 72
    """For how long it is sent again while an outcome is unknown: its id is known for ever."""

    def object_of(self, conversion_name: str, *, is_stage: bool) -> str:
        """Returns what tells an order's object from those of its other conversion names; "": it has one alone.

        Args:
            conversion_name: Ours.
            is_stage: Whether it is a stage of a lead: that has one object, unless names are told apart in the file.
        """
        if len({mapping.object or name for name, mapping in self.conversions.items()}) < 2:
            return ""
        mapping = self.conversions.get(conversion_name)
        declared = mapping.object if mapping is not None else None
        return declared or ("" if is_stage else conversion_name)


class HubSpotDestination(CrmDestination):
    """HubSpot: each order and each lead is a contact, a deal or an object of one's own."""

    type: Literal["hubspot"]
    """hubspot."""

    object_type: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = "deals"
    """contacts, deals, or an object type of one's own."""

    id_property: PropertyName = "tributary_order_id"
    """The unique property that an object is known by: `email` of contacts, else one of one's own with
    hasUniqueValue, which holds the visible id. A contact known by its e-mail holds the conversion it was told of last
    and is told of no correction; what that leaves wrong is written down. Give it a property that is told `time`: it is
    read first, and an older conversion that is delivered later changes nothing."""

    lifecycle_goes_back: bool = False
    """Whether `lifecyclestage` of a contact known by its e-mail may become an earlier one: a customer a lead again."""

    time_zone: Annotated[str, AfterValidator(_known)] = "UTC"
    """Of the account: its daily limit ends at midnight there."""

    base_url: Annotated[str, Field(max_length=2048)] = "https://api.hubapi.com"
    """Where its API is."""

    api_version: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,16}$")] = "v3"
    """Of the API: v3, or a month."""

    batch_size: Annotated[int, Field(ge=1, le=100)] = 100
    """Conversions in one request at most."""

    quota: Quota = Quota(requests_per_minute=540, requests_per_ten_seconds=90, requests_per_day=250_000)
    """How fast it may be called."""

    @model_validator(mode="after")
    def _check_contact(self) -> Self:
        if self.id_property == "email" and self.retracted:
            raise ValueError(
                "retracted: a contact known by its e-mail is of many conversions, and told of no correction"
            )
        return self

    @property
    def has_newest(self) -> bool:
        """Whether it is a contact that is known by its e-mail."""
        return self.id_property == "email"

    @property
    def zone(self) -> ZoneInfo:
        """The account's time zone."""
        return ZoneInfo(self.time_zone)

    @property
    def account(self) -> str:
        """What objects are of, and by which property one is known."""
        return f"{self.object_type}/{self.id_property}"


class SalesforceDestination(CrmDestination):
    """Salesforce: each order and each lead is a record with an external id."""

    grants: ClassVar[Mapping[OAuthGrant, str]] = {
        OAuthGrant.REFRESH_TOKEN: "",
        OAuthGrant.CLIENT_CREDENTIALS: "",
        OAuthGrant.JWT_BEARER: "",
    }
    names_home: ClassVar[bool] = True

    type: Literal["salesforce"]
    """salesforce."""

    object_type: PropertyName = "Opportunity"
    """The object: Opportunity, Lead, or one of one's own."""

    external_id_field: PropertyName = "Tributary_Id__c"
    """The field, marked as external id, that holds the visible id."""

    parent_field: PropertyName = "AccountId"
    """The field that names a record's parent, where `properties` or `constants` tell one: records of one parent are
    written one after the other, for writing one locks it. Those without are sorted by customer id, else e-mail."""

    base_url: Annotated[str, Field(max_length=2048)]
    """The instance: https://my-domain.my.salesforce.com. With `oauth`, the `instance_url` that a token comes with is
    called instead."""

    api_version: Annotated[str, Field(pattern=r"^v[0-9]{2,3}\.0$")] = "v64.0"
    """Of the API."""

    batch_size: Annotated[int, Field(ge=1, le=200)] = 200
    """Conversions in one request at most."""

    quota: Quota = Quota(requests_per_minute=60)
    """How fast it may be called."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.oauth is not None and self.oauth.token_url is None:
            raise ValueError("oauth.token_url must be named: https://my-domain.my.salesforce.com/services/oauth2/token")
        if self.oauth is not None and self.oauth.grant is OAuthGrant.JWT_BEARER and not self.oauth.subject:
            raise ValueError("oauth.subject must be the name of the user that is written as")
        return self

    @property
    def account(self) -> str:
        """The instance, the object, and the field by which a record is known."""
        return f"{self.base_url.rstrip('/')}/{self.object_type}/{self.external_id_field}"
