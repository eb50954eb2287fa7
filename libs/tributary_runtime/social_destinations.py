"""Ad destinations that know conversions by an event id: Pinterest, Snap, Reddit.

The one rule: credentials are references, and defaults are what each documentation says in 2026-11.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from tributary_runtime.ad_destinations import AccountId
from tributary_runtime.batch_destinations import BatchDestination, check_test_code
from tributary_runtime.destination_settings import Quota
from tributary_runtime.oauth_settings import OAuthGrant
from tributary_runtime.secret_references import SecretReference

PixelId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
"""Of a pixel: it stands in a path."""

_PINTEREST_NAMES: Final = frozenset(
    {
        *("add_payment_info", "add_to_cart", "add_to_wishlist", "app_install", "checkout", "custom"),
        *("initiate_checkout", "lead", "page_visit", "search", "signup", "subscribe", "view_category"),
        *("view_content", "watch_video"),
    }
)
"""Its events; it refuses others."""


class PinterestDestination(BatchDestination):
    """Pinterest's Conversions API; `conversions.*.name` is the name of the event there: checkout, lead."""

    type: Literal["pinterest"]
    """pinterest."""

    ad_account_id: AccountId
    """The ad account."""

    access_token: SecretReference | None = None
    """A conversion token of the ad account."""

    action_source: Literal["web", "offline", "app_android", "app_ios"] = "web"
    """Where conversions happen of which nobody says, and which app it is."""

    base_url: Annotated[str, Field(max_length=2048)] = "https://api.pinterest.com"
    """Where its API is."""

    api_version: Annotated[str, Field(pattern=r"^v[0-9]+$")] = "v5"
    """Of the API."""

    batch_size: Annotated[int, Field(ge=1, le=1_000)] = 1_000
    """Conversions in one request at most."""

    most_age_days: Annotated[int, Field(ge=1, le=400)] = 7
    """How old a conversion may be when it is sent."""

    resend_hours: Annotated[int, Field(ge=0, le=47)] = 47
    """For how long it is sent again while an outcome is unknown: an event id is known again. What happened offline is
    not sent again at all: its id is not."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        wrong = {mapping.name or name for name, mapping in self.conversions.items()} - _PINTEREST_NAMES
        if wrong:
            named, known = ", ".join(sorted(wrong)), ", ".join(sorted(_PINTEREST_NAMES))
            raise ValueError(f"conversions: Pinterest refuses {named}; name must be one of {known}")
        return self

    @property
    def account(self) -> str:
        """The ad account."""
        return self.ad_account_id

    @property
    def has_test_mode(self) -> bool:
        """A test is only checked."""
        return True

    @property
    def click_families(self) -> frozenset[str]:
        """Pinterest's own."""
        return frozenset({"epik"})


class SnapDestination(BatchDestination):
    """Snap's Conversions API; `conversions.*.name` is the name of the event there: PURCHASE, SIGN_UP."""

    type: Literal["snap"]
    """snap."""

    pixel_id: PixelId
    """The pixel, or the Snap app id."""

    access_token: SecretReference | None = None
    """Of the business account."""

    action_source: Literal["WEB", "MOBILE_APP", "OFFLINE"] = "WEB"
    """Where conversions happen of which nobody says."""

    base_url: Annotated[str, Field(max_length=2048)] = "https://tr.snapchat.com"
    """Where its API is."""

    api_version: Annotated[str, Field(pattern=r"^v[0-9]+$")] = "v3"
    """Of the API."""

    batch_size: Annotated[int, Field(ge=1, le=2_000)] = 2_000
    """Conversions in one request at most."""

    most_age_days: Annotated[int, Field(ge=1, le=37)] = 37
    """How old a conversion may be when it is sent."""

    resend_hours: Annotated[int, Field(ge=0, le=47)] = 47
    """For how long it is sent again while an outcome is unknown: an event id is remembered for 48 hours."""

    @property
    def account(self) -> str:
        """The pixel."""
        return self.pixel_id

    @property
    def has_test_mode(self) -> bool:
        """A test is only validated."""
        return True

    @property
    def click_families(self) -> frozenset[str]:
        """Snap's own."""
        return frozenset({"sc_cid"})


class RedditDestination(BatchDestination):
    """Reddit's Conversions API; `conversions.*.name` is the tracking type there, or the name of a custom event."""

    grants: ClassVar[Mapping[OAuthGrant, str]] = {
        OAuthGrant.REFRESH_TOKEN: "",
    }
    authenticates_basic: ClassVar[bool] = True

    type: Literal["reddit"]
    """reddit."""

    pixel_id: PixelId
    """The pixel."""

    access_token: SecretReference | None = None
    """A conversion token."""

    test_id: Annotated[str, Field(max_length=64)] = ""
    """Of the test view, where events marked TEST are shown (`send_test_traffic`), and no others."""

    action_source: Literal["WEBSITE", "APP", "PHYSICAL_STORE", "OTHER"] = "WEBSITE"
    """Where conversions happen of which nobody says."""

    base_url: Annotated[str, Field(max_length=2048)] = "https://ads-api.reddit.com"
    """Where its API is."""

    api_version: Annotated[str, Field(pattern=r"^v[0-9]+$")] = "v3"
    """Of the API."""

    batch_size: Annotated[int, Field(ge=1, le=1_000)] = 1_000
    """Conversions in one request at most."""

    most_age_days: Annotated[int, Field(ge=1, le=7)] = 7
    """How old a conversion may be when it is sent."""

    resend_hours: Annotated[int, Field(ge=0, le=47)] = 47
    """For how long it is sent again while an outcome is unknown: a conversion id is known again. 0: never, also of a
    request that was taken in part, where Reddit does not say which events it refused."""

    quota: Quota = Quota(requests_per_minute=60)
    """How fast it may be called: Reddit speaks of one call per second."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_test_code(self, "test_id", self.test_id)
        return self

    @property
    def account(self) -> str:
        """The pixel."""
        return self.pixel_id

    @property
    def has_test_mode(self) -> bool:
        """With an id, a test is shown in the test view."""
        return bool(self.test_id)

    @property
    def click_families(self) -> frozenset[str]:
        """Reddit's own."""
        return frozenset({"rdt_cid"})
