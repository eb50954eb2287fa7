"""What is said of destinations that take many conversions in one request: where they are, how much, how fast, how late.

The one rule: what a destination's documentation says is a default here and no more: base URL, API version and every
limit can be set, but no limit beyond what keeps a conversion from counting twice.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Self

from pydantic import Field, model_validator

from tributary_runtime.declared_urls import check_url
from tributary_runtime.destination_settings import DestinationSettings, SendScope, SentValue
from tributary_runtime.oauth_settings import OAuth, OAuthGrant
from tributary_runtime.secret_references import SecretReference

_DAY_SECONDS: Final = 86_400.0


class BatchDestination(DestinationSettings):
    """A destination that takes many conversions in one request."""

    restates: ClassVar[bool] = False
    """Whether the destination takes corrections: without, what it is sent must not depend on what may yet change."""

    grants: ClassVar[Mapping[OAuthGrant, str]] = {}
    """With what it gives out access tokens -> the scope that must be named then."""

    authenticates_basic: ClassVar[bool] = False
    """Whether it wants an application's secret in a header where tokens are obtained."""

    names_home: ClassVar[bool] = False
    """Whether it says with an access token where its API is (`instance_url`)."""

    access_token: SecretReference | None = None
    """A token that nobody, or somebody else, renews."""

    oauth: OAuth | None = None
    """Or how tokens are obtained, where the destination gives such out."""

    base_url: Annotated[str, Field(max_length=2048)]
    """Where its API is; https, unless private addresses are allowed."""

    batch_size: Annotated[int, Field(ge=1)]
    """Conversions in one request at most."""

    request_bytes: Annotated[int, Field(ge=10_000, le=100_000_000)] = 5_000_000
    """Bytes of one request at most."""

    most_age_days: Annotated[int, Field(ge=1, le=400)]
    """How old a conversion may be when it is sent; older ones are not."""

    resend_hours: Annotated[int, Field(ge=0)]
    """For how long a conversion is sent again after an attempt whose outcome is not known: as long as the destination
    knows it again. 0: never; it is a dead letter then."""

    unanswered_seconds: Annotated[int, Field(ge=1, le=3_600)] = 300
    """For how long a request that got no answer may still be carried out there, counted from when its answer is given
    up. Until then nothing else is told of the same conversion or object, but the same again: what comes last is what
    the destination keeps. At most an hour, the shortest time for which one knows a conversion again."""

    needs_consent_grant: bool = True
    """Whether a person must have granted `ad_user_data` (or the workspace's `consent_defaults` must, for their region);
    false: silence is no refusal."""

    tcf_vendor: Annotated[int, Field(ge=1, le=65_535)] | None = None
    """The destination's number in the IAB's Global Vendor List: of whom a TCF string was collected it is told only if
    the string names it, and no later one of the person does not. None: a string's purposes are asked, and no vendor."""

    page_url: Annotated[str, Field(max_length=2048)] = ""
    """The site's address, for destinations that ask on which page a conversion happened."""

    @model_validator(mode="after")
    def _check_batch(self) -> Self:
        check_url("base_url", self.base_url, allow_http=self.allow_private_addresses)
        if self.oauth is not None and self.oauth.token_url is not None:
            check_url("oauth.token_url", self.oauth.token_url, allow_http=self.allow_private_addresses)
        if self.page_url:
            check_url("page_url", self.page_url, allow_http=False)
        if (self.access_token is None) == (self.oauth is None):
            raise ValueError("give exactly one of access_token, oauth")
        if self.oauth is not None and self.oauth.grant not in self.grants:
            offered = ", ".join(self.grants) or "none: give access_token"
            raise ValueError(f"oauth.grant: {self.type} offers {offered}")
        if self.hold_seconds >= self.leaves_within_seconds:
            days = round(self.leaves_within_seconds / _DAY_SECONDS)
            raise ValueError(
                f"hold_seconds must be less than the {days} days within which {self.type} takes conversions "
                "(most_age_days): all would be too old when it may leave"
            )
        if not self.restates and "unanswered_seconds" in self.model_fields_set:
            raise ValueError(f"unanswered_seconds has no effect: {self.type} takes no corrections")
        if not self.restates and self.send_scope is not SendScope.ALL_CONSENTED:
            raise ValueError(f"send_scope must be all_consented: {self.type} takes no corrections, and scopes change")
        if not self.restates and self.value is not SentValue.FULL:
            raise ValueError(f"value must be full: {self.type} takes no corrections, and other values change")
        is_credited = self.value is SentValue.CREDITED
        if is_credited and not (self.value_model and self.channels):
            raise ValueError("value credited needs value_model and channels: whose credit is told, by which model")
        if self.value_model and not is_credited:
            raise ValueError("value_model is of a credited value only")
        return self

    @property
    def leaves_within_seconds(self) -> float:
        """How old a conversion may be when it is sent."""
        return self.most_age_days * _DAY_SECONDS


def check_test_code(settings: BatchDestination, name: str, code: str) -> None:
    """Refuses the code of a test view where no tests are sent: real conversions never carry it.

    Raises:
        ValueError: It would have no effect.
    """
    if code and not settings.send_test_traffic:
        raise ValueError(f"{name} needs send_test_traffic: true; what is not marked TEST is sent for real, without it")
