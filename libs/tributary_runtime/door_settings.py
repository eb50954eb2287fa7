"""What a workspace says about who comes through its door in `workspaces.yaml`: bots, bursts, human checks, limits.

The one rule: what is suspicious is quarantined, never refused, and a provider or list that does not answer makes nobody
guilty.
"""

from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from tributary_runtime.declared import Declared
from tributary_runtime.declared_urls import check_url
from tributary_runtime.secret_references import SecretReference


class KindWithSession(StrEnum):
    """A kind of event that may be asked for a session id."""

    TOUCHPOINT = "touchpoint"
    CONVERSION = "conversion"


class VelocityLimit(Declared):
    """How many conversions one sender may have in a sliding window."""

    at_most: Annotated[int, Field(ge=0, le=1_000_000)]
    """Conversions in the window; a further one is quarantined. 0: no limit."""

    window_hours: Annotated[int, Field(ge=1, le=744)]
    """Length of the sliding window."""


class VelocityLimits(Declared):
    """From how many conversions on they are a burst: QUARANTINED(VELOCITY). Counters that do not answer let pass.

    Windows are of the time they happened; of those that come later than one, four times as many may come within one.
    """

    identifier: VelocityLimit = VelocityLimit(at_most=5, window_hours=1)
    """Of one identity token."""

    address: VelocityLimit = VelocityLimit(at_most=20, window_hours=1)
    """Of one client address that a browser or an app was seen with."""

    click_id: VelocityLimit = VelocityLimit(at_most=3, window_hours=24)
    """Of one click id."""


class OwnVelocityLimits(Declared):
    """What differs for one conversion name; what is unset is as for the workspace."""

    identifier: VelocityLimit | None = None
    """Of one identity token."""

    address: VelocityLimit | None = None
    """Of one client address that a browser or an app was seen with."""

    click_id: VelocityLimit | None = None
    """Of one click id."""


class HumanCheckType(StrEnum):
    """Whose tokens a provider verifies; `event.v1.HumanCheckProvider`."""

    RECAPTCHA = "recaptcha"
    HCAPTCHA = "hcaptcha"
    TURNSTILE = "turnstile"


class HumanCheckProvider(Declared):
    """Who verifies the human-check tokens of one type."""

    type: HumanCheckType
    """recaptcha | hcaptcha | turnstile: whose tokens; at most one provider each."""

    secret: SecretReference
    """The key that the provider gave for verifying."""

    endpoint: Annotated[str, Field(max_length=2048)] | None = None
    """Where tokens are verified; https, unless private addresses are allowed. Unset: where the provider does it."""

    allow_private_addresses: bool = False
    """Whether http, loopback and private networks may be called: for a relay of one's own. Else a request forger's
    door."""

    minimum_score_percent: Annotated[int, Field(ge=0, le=100)] = 50
    """Of providers that score: below it the check has failed. 0 is a bot, 100 a human."""

    carriers_per_token: Annotated[int, Field(ge=1, le=100)] = 3
    """How many conversions a token vouches for within ten minutes, their retries aside and those of one order counted
    once; which comes with it later is quarantined. Touchpoints do not count."""

    timeout_milliseconds: Annotated[int, Field(ge=50, le=5000)] = 800
    """A provider that takes longer has not answered: unknown, not guilty."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.endpoint is not None:
            check_url("endpoint", self.endpoint, allow_http=self.allow_private_addresses)
        return self


class BotAddresses(Declared):
    """Client addresses that belong to no browser, such as those of data centres. None are shipped."""

    files: tuple[Path, ...] = ()
    """Lists of networks, one CIDR a line, `#` begins a comment: what comes from them is quarantined. Read again when
    one changes; one that cannot be read leaves what was read before."""

    exempt_files: tuple[Path, ...] = ()
    """Lists of networks that people share, in the same form, such as iCloud Private Relay: never suspicious. Of a table
    only the first column counts."""

    exempt_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """Further such networks, such as an office."""
