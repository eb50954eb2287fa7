"""Ad destinations: Google (Data Manager API), Meta, LinkedIn, TikTok.

The one rule: credentials are references, and defaults are what each documentation says in 2026-11.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from tributary_runtime.batch_destinations import BatchDestination, check_test_code
from tributary_runtime.destination_settings import Quota
from tributary_runtime.oauth_settings import OAuthGrant
from tributary_runtime.secret_references import SecretReference

_GOOGLE_ACTIONS = 10
"""Destinations that one request to the Data Manager API may name."""

AccountId = Annotated[str, Field(pattern=r"^[0-9]{1,20}$")]
"""Digits, without dashes."""

ActionSource = Literal["website", "email", "app", "phone_call", "chat", "physical_store", "system_generated", "other"]
"""Where Meta is told that a conversion happened."""

META_MOST_AGE_SECONDS: Final = 7 * 86_400
"""How old an event may be for Meta that did not happen in a store."""


class GoogleDestination(BatchDestination):
    """Google Ads through the Data Manager API; `conversions.*.name` is the id of the conversion action."""

    restates: ClassVar[bool] = True
    grants: ClassVar[Mapping[OAuthGrant, str]] = {
        OAuthGrant.REFRESH_TOKEN: "",
        OAuthGrant.JWT_BEARER: "https://www.googleapis.com/auth/datamanager",
    }
    reports_later: ClassVar[bool] = True

    type: Literal["google"]
    """google."""

    operating_account: AccountId
    """The customer id that owns the conversion actions."""

    login_account: AccountId | None = None
    """The manager account that the credential belongs to; unset: the operating account itself."""

    access_token: SecretReference | None = None
    """A token that somebody else renews, of scope https://www.googleapis.com/auth/datamanager."""

    tcf_vendor: Annotated[int, Field(ge=1, le=65_535)] | None = 755
    """Google's number in the IAB's Global Vendor List: of whom a TCF string was collected it is told only if the string
    names it."""

    base_url: Annotated[str, Field(max_length=2048)] = "https://datamanager.googleapis.com"
    """Where its API is."""

    api_version: Annotated[str, Field(pattern=r"^v[0-9]+[a-z0-9]*$")] = "v1"
    """Of the API."""

    batch_size: Annotated[int, Field(ge=1, le=2_000)] = 2_000
    """Conversions in one request at most."""

    most_age_days: Annotated[int, Field(ge=1, le=400)] = 90
    """How old a conversion may be when it is sent: a click older than that is of no use."""

    resend_hours: Annotated[int, Field(ge=0, le=72)] = 72
    """For how long it is sent again while an outcome is unknown: the transaction id is remembered."""

    confirm_seconds: Annotated[int, Field(ge=0, le=7 * 86_400)] = 86_400
    """How long a correction waits at most until Google reports that it took what is corrected: before, the correction
    could become a second conversion, or be written over by the original. Reports are asked for from half an hour on."""

    quota: Quota = Quota(requests_per_minute=240, requests_per_day=100_000)
    """How fast it may be called."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        actions = {mapping.name or name for name, mapping in self.conversions.items()}
        if not all(action.isascii() and action.isdigit() for action in actions):
            raise ValueError("conversions: name must be the id of a conversion action, digits only")
        if len(actions) > _GOOGLE_ACTIONS:
            raise ValueError(f"conversions: at most {_GOOGLE_ACTIONS} conversion actions; declare a second destination")
        return self

    @property
    def account(self) -> str:
        """The operating account."""
        return self.operating_account

    @property
    def confirmation_seconds(self) -> float:
        """As the file says."""
        return self.confirm_seconds

    @property
    def has_test_mode(self) -> bool:
        """A test is only validated."""
        return True

    @property
    def click_families(self) -> frozenset[str]:
        """Google's own."""
        return frozenset({"gclid", "gbraid", "wbraid"})


class MetaDestination(BatchDestination):
    """Meta's Conversions API; `conversions.*.name` is the name of the event there: Purchase, Lead."""

    type: Literal["meta"]
    """meta."""

    dataset_id: AccountId
    """The data set, or pixel."""

    app_secret: SecretReference | None = None
    """Where the app demands a proof of it with every call."""

    test_event_code: Annotated[str, Field(max_length=64)] = ""
    """Of the test view, where events marked TEST are shown (`send_test_traffic`), and no others."""

    action_source: ActionSource = "website"
    """Where conversions happen of which nobody says."""

    base_url: Annotated[str, Field(max_length=2048)] = "https://graph.facebook.com"
    """Where its API is."""

    api_version: Annotated[str, Field(pattern=r"^v[0-9]+\.[0-9]+$")] = "v26.0"
    """Of the API."""

    batch_size: Annotated[int, Field(ge=1, le=1_000)] = 1_000
    """Conversions in one request at most."""

    most_age_days: Annotated[int, Field(ge=1, le=62)] = 62
    """How old a conversion may be when it is sent: one that happened in a store; of all others Meta takes none that is
    older than 7 days, and refuses the whole request for one."""

    resend_hours: Annotated[int, Field(ge=0, le=47)] = 47
    """For how long it is sent again while an outcome is unknown: an event id is remembered for 48 hours."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_test_code(self, "test_event_code", self.test_event_code)
        return self

    @property
    def account(self) -> str:
        """The data set."""
        return self.dataset_id

    @property
    def leaves_within_seconds(self) -> float:
        """How old a conversion may be that did not happen in a store; where all do, any."""
        within = super().leaves_within_seconds
        return within if self.action_source == "physical_store" else min(within, META_MOST_AGE_SECONDS)

    @property
    def has_test_mode(self) -> bool:
        """With a code, a test is shown in the test view."""
        return bool(self.test_event_code)

    @property
    def click_families(self) -> frozenset[str]:
        """Meta's own."""
        return frozenset({"fbclid"})


class LinkedInDestination(BatchDestination):
    """LinkedIn's Conversions API; `conversions.*.name` is the id of the conversion rule."""

    grants: ClassVar[Mapping[OAuthGrant, str]] = {
        OAuthGrant.REFRESH_TOKEN: "",
    }

    type: Literal["linkedin"]
    """linkedin."""

    access_token: SecretReference | None = None
    """A token that somebody else renews, of scope rw_conversions."""

    base_url: Annotated[str, Field(max_length=2048)] = "https://api.linkedin.com"
    """Where its API is."""

    api_version: Annotated[str, Field(pattern=r"^20[0-9]{4}$")] = "202603"
    """Of the API, year and month; one dies about a year after its release."""

    batch_size: Annotated[int, Field(ge=1, le=5_000)] = 5_000
    """Conversions in one request at most."""

    most_age_days: Annotated[int, Field(ge=1, le=90)] = 90
    """How old a conversion may be when it is sent."""

    resend_hours: Annotated[int, Field(ge=0, le=72)] = 0
    """For how long it is sent again while an outcome is unknown. 0: never, for nobody says that LinkedIn would know it
    again."""

    quota: Quota = Quota(requests_per_minute=300)
    """How fast it may be called."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [mapping.name or name for name, mapping in self.conversions.items()]
        if not all(name.isascii() and name.isdigit() for name in names):
            raise ValueError("conversions: name must be the id of a conversion rule, digits only")
        return self

    @property
    def click_families(self) -> frozenset[str]:
        """LinkedIn's own."""
        return frozenset({"li_fat_id"})


class TikTokDestination(BatchDestination):
    """TikTok's Events API; `conversions.*.name` is the name of the event there: Purchase, Lead."""

    type: Literal["tiktok"]
    """tiktok."""

    event_source: Literal["web", "app", "offline", "crm"] = "web"
    """Where conversions happen. Of crm, a conversion's `lead_id` must be the id that TikTok gave the lead, as exported
    from there with it: TikTok is told it as it is, and knows none of the CRM's own."""

    event_source_id: Annotated[str, Field(min_length=1, max_length=128)]
    """The pixel code, or the id of the app, offline or CRM event set."""

    lead_event_source: Annotated[str, Field(max_length=64)] = ""
    """Of a CRM event set: which CRM leads come from, as TikTok is told beside a lead's id: "HubSpot"."""

    test_event_code: Annotated[str, Field(max_length=64)] = ""
    """Of the test view, where events marked TEST are shown (`send_test_traffic`), and no others."""

    base_url: Annotated[str, Field(max_length=2048)] = "https://business-api.tiktok.com"
    """Where its API is."""

    api_version: Annotated[str, Field(pattern=r"^v[0-9]+\.[0-9]+$")] = "v1.3"
    """Of the API."""

    batch_size: Annotated[int, Field(ge=1, le=1_000)] = 1_000
    """Conversions in one request at most."""

    most_age_days: Annotated[int, Field(ge=1, le=7)] = 7
    """How old a conversion may be when it is sent."""

    resend_hours: Annotated[int, Field(ge=0, le=47)] = 47
    """For how long it is sent again while an outcome is unknown: an event id is remembered for 48 hours."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_test_code(self, "test_event_code", self.test_event_code)
        if self.lead_event_source and self.event_source != "crm":
            raise ValueError("lead_event_source is of event_source crm only")
        return self

    @property
    def account(self) -> str:
        """The pixel or event set."""
        return f"{self.event_source}/{self.event_source_id}"

    @property
    def has_test_mode(self) -> bool:
        """With a code, a test is shown in the test view."""
        return bool(self.test_event_code)

    @property
    def click_families(self) -> frozenset[str]:
        """TikTok's own."""
        return frozenset({"ttclid"})
