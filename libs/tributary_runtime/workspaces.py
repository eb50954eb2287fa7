"""The workspaces of an installation: the model of `workspaces.yaml`.

The one rule: the file is the only place that says what a workspace is, unknown keys are refused, and what was read
never changes; `workspaces_file.py` replaces it as a whole. `workspaces.schema.json` says the same to an editor and
`workspaces.example.yaml` to a person; tests keep the three together.
"""

import base64
import binascii
from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Annotated, Any, Final, Self
from zoneinfo import ZoneInfo

from pydantic import Field, ValidationInfo, field_validator, model_validator

from tributary_domain.import_checks import LAST_DAY
from tributary_domain.retention import months_needed
from tributary_runtime.attribution_settings import AttributionSettings, settings_at
from tributary_runtime.batch_destinations import BatchDestination
from tributary_runtime.comparison_settings import DealMatching, FindingDelays, SpendJoin
from tributary_runtime.conversion_settings import ChannelRule, ConversionDefinition
from tributary_runtime.data_driven_settings import DataDrivenSettings
from tributary_runtime.declared import CurrencyCode, Declared, Domain, Name, RegionCode, Slug
from tributary_runtime.destination_types import Destination
from tributary_runtime.door_settings import BotAddresses, HumanCheckProvider, KindWithSession, VelocityLimits
from tributary_runtime.privacy_settings import ConsentDefault, IdentitySettings, RetentionSettings
from tributary_runtime.secret_references import SecretReference

_DATA_KEY_BYTES: Final = 32


class Scope(StrEnum):
    """What an API key may do."""

    INGEST = "ingest"
    """Send events."""
    BACKFILL = "backfill"
    """Send events outside the accept window, into the bulk lane."""
    QUERY = "query"
    """Read reports, journeys, health, integrity."""
    ADMIN = "admin"
    """Change state: release quarantine, replay deliveries, reconcile."""


class ApiKey(Declared):
    """A credential of one workspace; only its hash is known."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{3,31}$")]
    """The part between the underscores of trb_<id>_<secret>; unique in the installation; shown in logs."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """SHA-256 of the secret, in hex, as `tributary keys create` prints it."""

    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)]
    """ingest, backfill, query, admin: what the key may do."""

    expires_on: date | None = None
    """Last day, in UTC, on which the key is valid; unset: for ever."""

    events_per_second: Annotated[int, Field(ge=1)] | None = None
    """Events it may send, over all replicas, with a second's burst; above it RESOURCE_EXHAUSTED. Unset: no limit of its
    own."""

    bytes_per_second: Annotated[int, Field(ge=1024)] | None = None
    """Likewise, bytes of requests, after decompression."""


class Reporting(Declared):
    """In which money and days the books are kept."""

    currency: CurrencyCode = "USD"
    """Currency of report totals, ISO 4217."""

    time_zone: str = "UTC"
    """IANA name of the zone of the books: cuts posting days, and report days unless another is asked for."""

    books_closed_through: date | None = None
    """Last closed day: later changes of older conversions post to the day after it, and so does whatever else comes
    before it is over."""

    @field_validator("time_zone")
    @classmethod
    def _check_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (LookupError, ValueError, OSError):
            raise ValueError("is no IANA time zone, such as Europe/Berlin") from None
        return value

    @field_validator("books_closed_through")
    @classmethod
    def _check_closed(cls, value: date | None) -> date | None:
        if value is not None and value >= LAST_DAY:
            raise ValueError(f"must be before {LAST_DAY}: what comes later posts to the day after it")
        return value

    @cached_property
    def zone(self) -> ZoneInfo:
        """The zone of the books."""
        return ZoneInfo(self.time_zone)


class AcceptWindows(Declared):
    """How old, or how far ahead, an event may be. Claims protect these spans: they can be shortened, not extended."""

    event_days: Annotated[int, Field(ge=1, le=28)] = 28
    """Touchpoints, and conversions known only by their event id."""

    order_days: Annotated[int, Field(ge=1, le=399)] = 399
    """Conversions with an order id, adjustments, deals and stages."""

    ahead_seconds: Annotated[int, Field(ge=0, le=3600)] = 300
    """How far in the future an event time may be."""

    backfill_days: Annotated[int, Field(ge=1, le=3653)] = 3653
    """With scope backfill: how old an event may be."""


class Limits(Declared):
    """What one workspace may take of what all share."""

    live_events_per_second: Annotated[int, Field(ge=1)] | None = None
    """Above it, over all replicas, events go to the bulk lane; unset: no limit of its own."""

    live_percent: Annotated[int, Field(ge=1, le=100)] = 25
    """Share of the live lane's backlog that its unread events may be; above it, events go to the bulk lane, so that
    others do not wait behind them. 100: never, whatever waits."""

    backlog_percent: Annotated[int, Field(ge=1, le=100)] = 50
    """Share of the event log's room that its unread events may hold; above it RESOURCE_EXHAUSTED."""


class Workspace(Declared):
    """A tenant: everything that is counted, credited, reported and sent belongs to exactly one."""

    id: Slug
    """Never changes: it is part of every key and every row."""

    name: str = ""
    """For people; unset: the id."""

    pepper: SecretReference
    """Makes identity tokens of this workspace unguessable. Never change it: every person would become a stranger."""

    data_key: SecretReference | None = None
    """Wraps the keys that seal match keys per person, 32 bytes in base64 (`openssl rand -base64 32`); unset: match keys
    are not kept. To change it, list the old one under `previous_data_keys`."""

    previous_data_keys: tuple[SecretReference, ...] = ()
    """Still unwrap what they wrapped, while a new `data_key` wraps: keep each for the life of match keys."""

    api_keys: tuple[ApiKey, ...] = ()
    """Who may call in its name."""

    default_region: RegionCode | None = None
    """Where phone numbers without a country code are from, unless the person's own address says otherwise, and whose
    consent default applies (`consent_defaults`). Without it a number that does not begin with + or 00 is no match key,
    but for one of 11 digits that begins with 1, or of 12 and more."""

    reporting: Reporting = Reporting()
    """In which money and days the books are kept."""

    accept: AcceptWindows = AcceptWindows()
    """How old an event may be."""

    limits: Limits = Limits()
    """What it may take of what all share."""

    session_id_required: tuple[KindWithSession, ...] = ()
    """touchpoint, conversion: kinds of event that are REJECTED without a session id, whoever observed them."""

    velocity: VelocityLimits = VelocityLimits()
    """From how many conversions on they are a burst, and quarantined."""

    human_checks: tuple[HumanCheckProvider, ...] = ()
    """Who verifies human-check tokens; a token of anybody else counts as unknown. A verdict that the caller sends
    counts as it is."""

    bot_addresses: BotAddresses = BotAddresses()
    """Client addresses that belong to no browser: what a browser or an app was seen with from there is quarantined."""

    own_domains: tuple[Domain, ...] = ()
    """Its own sites, with their sub-domains: a referrer among them is no new touch."""

    ignored_referrers: tuple[Domain, ...] = ()
    """Beside the shipped list: payment, sign-on and survey pages that a visitor only returns from."""

    channel_rules: tuple[ChannelRule, ...] = ()
    """Before the built-in rules, first match wins."""

    coupons: dict[Name, Name] = Field(default_factory=dict)
    """Coupon code to partner: a touchpoint with the code is the partner's. The codes of a conversion make no touch of
    their own in this release."""

    conversions: tuple[ConversionDefinition, ...] = ()
    """How conversions are counted and valued, one entry per name."""

    attribution: Annotated[tuple[AttributionSettings, ...], Field(min_length=1)] = (AttributionSettings(),)
    """How credit is computed: a history, oldest first. Append an entry to change it; never edit an effective one."""

    data_driven: DataDrivenSettings = DataDrivenSettings()
    """How data_driven learns from its paths."""

    identity: IdentitySettings = IdentitySettings()
    """Which identifiers make one person."""

    consent_defaults: tuple[ConsentDefault, ...] = ()
    """What is assumed where nothing was said, per region of the person (`Consent.region`, else `default_region`); where
    there are entries, a region without one denies. Without any: nothing is assumed, touches earn credit, and a webhook
    is sent the conversion. Of touches it holds for events that arrive after it was changed."""

    retention: RetentionSettings = RetentionSettings()
    """How long what is kept."""

    spend: SpendJoin = SpendJoin()
    """How imported spend finds its touches. No effect in this release: imported spend is kept, and not
    joined to touches yet."""

    deals: DealMatching = DealMatching()
    """How CRM deals are compared with conversions."""

    findings: FindingDelays = FindingDelays()
    """After how long something that waits is a finding."""

    destinations: tuple[Destination, ...] = ()
    """Where its conversions are sent."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        _refuse_twins("destinations", [destination.id for destination in self.destinations])
        _refuse_twins("conversions", [definition.name for definition in self.conversions])
        _refuse_twins("human_checks", [provider.type.value for provider in self.human_checks])
        starts = [settings.effective_from for settings in self.attribution]
        later = [start for start in starts[1:] if start is not None]
        if len(later) < len(starts) - 1:
            raise ValueError("attribution: only the first entry may lack effective_from")
        if any(first is not None and first >= second for first, second in zip(starts, later, strict=False)):
            raise ValueError("attribution: effective_from must grow from entry to entry")
        months, said = self._months_needed, self.retention.person_event_months
        if self.retention.says_months and said is not None and said < months:
            raise ValueError(
                f"retention: person_event_months must be at least {months}: conversions are credited to what happened"
                f" up to {self._lookback_days} days before (attribution), and may be {self.accept.event_days} days late"
                " (accept)"
            )
        return self

    @property
    def person_event_months(self) -> int | None:
        """For how many months events of people are kept, None: for ever; where nobody said, at least as is needed."""
        said = self.retention.person_event_months
        return said if said is None or self.retention.says_months else max(said, self._months_needed)

    @property
    def _months_needed(self) -> int:
        return months_needed(self._lookback_days + self.accept.event_days + 1)

    @property
    def _lookback_days(self) -> int:
        return max(settings.longest_lookback_days for settings in self.attribution)

    @cached_property
    def wrapping_keys(self) -> tuple[bytes, ...]:
        """The 32 bytes of `data_key`, then of those before it; empty where match keys are not kept."""
        if self.data_key is None:
            return ()
        return tuple(base64.b64decode(key.reveal()) for key in (self.data_key, *self.previous_data_keys))

    @field_validator("data_key", "previous_data_keys")
    @classmethod
    def _check_data_keys(cls, value: Any, info: ValidationInfo) -> Any:
        if info.context and info.context.get("resolve_secrets") is False:
            return value
        for key in value if isinstance(value, tuple) else filter(None, (value,)):
            try:
                size = len(base64.b64decode(key.reveal(), validate=True))
            except binascii.Error:
                size = 0
            if size != _DATA_KEY_BYTES:
                raise ValueError(f"must be {_DATA_KEY_BYTES} bytes in base64, as `openssl rand -base64 32` makes them")
        return value

    @property
    def title(self) -> str:
        """The name for people."""
        return self.name or self.id

    @cached_property
    def _definitions(self) -> Mapping[str, ConversionDefinition]:
        return {definition.name: definition for definition in self.conversions}

    def conversion(self, name: str) -> ConversionDefinition:
        """Returns how conversions of a name are counted: as declared, else by the defaults."""
        return self._definitions.get(name) or _undeclared(name[:128] or "-")

    def attribution_at(self, conversion_time: datetime) -> AttributionSettings:
        """Returns the settings that a conversion of this time is credited under."""
        return settings_at(self.attribution, conversion_time)

    def destination(self, destination_id: str) -> Destination | None:
        """Returns a destination, if the workspace has it."""
        return next((found for found in self.destinations if found.id == destination_id), None)

    @cached_property
    def tcf_vendors(self) -> tuple[int, ...]:
        """The numbers that its destinations have in the IAB's Global Vendor List, ascending."""
        declared = (one.tcf_vendor for one in self.destinations if isinstance(one, BatchDestination))
        return tuple(sorted({vendor for vendor in declared if vendor is not None}))


@lru_cache(maxsize=4096)
def _undeclared(name: str) -> ConversionDefinition:
    """Returns the defaults; made once, for a conversion asks several times."""
    return ConversionDefinition(name=name)


class Workspaces(Declared):
    """A whole `workspaces.yaml`, as read once."""

    workspaces: tuple[Workspace, ...]
    """Every workspace of the installation; a file cut short must not look like one without."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        _refuse_twins("workspaces", [workspace.id for workspace in self.workspaces])
        _refuse_twins("api_keys", [key.id for workspace in self.workspaces for key in workspace.api_keys])
        return self

    @cached_property
    def by_id(self) -> Mapping[str, Workspace]:
        """Workspace id to workspace."""
        return {workspace.id: workspace for workspace in self.workspaces}

    @cached_property
    def by_key_id(self) -> Mapping[str, tuple[Workspace, ApiKey]]:
        """API key id to the key and its workspace."""
        return {key.id: (workspace, key) for workspace in self.workspaces for key in workspace.api_keys}


def _refuse_twins(what: str, ids: list[str]) -> None:
    twins = sorted({one for one in ids if ids.count(one) > 1})
    if twins:
        raise ValueError(f"{what}: {', '.join(twins)} is there more than once")
