"""Ad destinations that take corrections of their own kind: Microsoft's offline conversions, Google Ads' older uploads.

The one rule: credentials are references, and defaults are what each documentation says in 2026-11.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from tributary_runtime.ad_destinations import AccountId
from tributary_runtime.batch_destinations import BatchDestination
from tributary_runtime.destination_settings import Pixel, Quota
from tributary_runtime.oauth_settings import OAuthGrant
from tributary_runtime.secret_references import SecretReference


class MicrosoftDestination(BatchDestination):
    """Microsoft Advertising's offline conversions; `conversions.*.name` is the name of the goal there."""

    restates: ClassVar[bool] = True
    grants: ClassVar[Mapping[OAuthGrant, str]] = {
        OAuthGrant.REFRESH_TOKEN: "https://ads.microsoft.com/msads.manage offline_access",
    }

    type: Literal["microsoft"]
    """microsoft."""

    customer_id: AccountId
    """The customer."""

    account_id: AccountId
    """The ad account."""

    developer_token: SecretReference
    """Of the application."""

    access_token: SecretReference | None = None
    """A token that somebody else renews, of scope https://ads.microsoft.com/msads.manage."""

    base_url: Annotated[str, Field(max_length=2048)] = "https://campaign.api.bingads.microsoft.com"
    """Where its API is."""

    api_version: Annotated[str, Field(pattern=r"^v[0-9]+$")] = "v13"
    """Of the API."""

    batch_size: Annotated[int, Field(ge=1, le=1_000)] = 1_000
    """Conversions in one request at most."""

    most_age_days: Annotated[int, Field(ge=1, le=90)] = 90
    """How old a conversion may be when it is sent."""

    resend_hours: Annotated[int, Field(ge=0, le=72)] = 72
    """For how long it is sent again while an outcome is unknown: click id and time are known again. A conversion
    without a click id is not sent again at all; what corrects one is."""

    quota: Quota = Quota(requests_per_minute=60)
    """How fast it may be called."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.pixel is not Pixel.NONE:
            raise ValueError("pixel must be none: offline conversions carry no id that a tag could share")
        return self

    @property
    def account(self) -> str:
        """The ad account."""
        return f"{self.customer_id}/{self.account_id}"

    @property
    def click_families(self) -> frozenset[str]:
        """Microsoft's own."""
        return frozenset({"msclkid"})


class GoogleAdsDestination(BatchDestination):
    """Google Ads' own uploads, for developer tokens that may still use them; else take `google`.

    `conversions.*.name` is the id of the conversion action.
    """

    restates: ClassVar[bool] = True
    tells_foreign_clicks: ClassVar[bool] = True
    grants: ClassVar[Mapping[OAuthGrant, str]] = {
        OAuthGrant.REFRESH_TOKEN: "",
        OAuthGrant.JWT_BEARER: "https://www.googleapis.com/auth/adwords",
    }

    type: Literal["google_ads"]
    """google_ads."""

    customer_id: AccountId
    """The customer that owns the conversion actions."""

    login_customer_id: AccountId | None = None
    """The manager account that the credential belongs to."""

    developer_token: SecretReference
    """Of the application."""

    access_token: SecretReference | None = None
    """A token that somebody else renews, of scope https://www.googleapis.com/auth/adwords."""

    tcf_vendor: Annotated[int, Field(ge=1, le=65_535)] | None = 755
    """Google's number in the IAB's Global Vendor List: of whom a TCF string was collected it is told only if the string
    names it."""

    base_url: Annotated[str, Field(max_length=2048)] = "https://googleads.googleapis.com"
    """Where its API is."""

    api_version: Annotated[str, Field(pattern=r"^v[0-9]+$")] = "v26"
    """Of the API."""

    batch_size: Annotated[int, Field(ge=1, le=2_000)] = 2_000
    """Conversions in one request at most."""

    most_age_days: Annotated[int, Field(ge=1, le=90)] = 90
    """How old a conversion may be when it is sent."""

    resend_hours: Annotated[int, Field(ge=0, le=72)] = 72
    """For how long it is sent again while an outcome is unknown: an order id is known again."""

    quota: Quota = Quota(requests_per_minute=60)
    """How fast it may be called."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [mapping.name or name for name, mapping in self.conversions.items()]
        if not all(name.isascii() and name.isdigit() for name in names):
            raise ValueError("conversions: name must be the id of a conversion action, digits only")
        return self

    @property
    def account(self) -> str:
        """The customer."""
        return self.customer_id

    @property
    def has_test_mode(self) -> bool:
        """A test is only validated."""
        return True

    @property
    def click_families(self) -> frozenset[str]:
        """Google's own."""
        return frozenset({"gclid", "gbraid", "wbraid"})
