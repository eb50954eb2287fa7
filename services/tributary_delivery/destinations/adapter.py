"""What an adapter of a batch destination takes and gives: all of it values, none of it I/O.

The one rule: plain match keys exist between opening and mapping, in `PersonKeys` alone; no `repr` shows them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Any, Final, Protocol

from tributary.attribution.v1.conversion_pb2 import ResolvedClickId
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import (
    DeliveryOperation,
    IneligibleReason,
)
from tributary_delivery.destinations.destination import Outcome
from tributary_delivery.destinations.policy import Policy
from tributary_domain.consent import DENIED
from tributary_storage.redis.delivery_job import KnownAs

ON_ITS_WAY_SECONDS: Final = 60
"""How long a conversion may be on its way that was put into words: what would be too old by then is so."""


@dataclass(frozen=True, slots=True, repr=False)
class PostalAddress:
    """Name and address, plain, as sent; empty where unknown."""

    given_name: str = ""
    family_name: str = ""
    street: str = ""
    city: str = ""
    region: str = ""
    postal_code: str = ""
    country_code: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class PersonKeys:
    """What a destination can recognise the person of a conversion by."""

    emails: tuple[str, ...] = ()
    """Plain, as sent, each once; the newest observation's first."""
    email_digests: tuple[str, ...] = ()
    """What callers sent as `email_sha256`: of the trimmed, lower-case address."""
    phones: tuple[str, ...] = ()
    """Plain, as sent: not in E.164 yet."""
    phone_digests: tuple[str, ...] = ()
    """What callers sent as `phone_sha256`: of E.164 with its "+"."""
    customer_id: str = ""
    visitor_id: str = ""
    apple_advertising_ids: tuple[str, ...] = ()
    """As sent; likewise Android's."""
    android_advertising_ids: tuple[str, ...] = ()
    address: PostalAddress | None = None
    client_ip: str = ""
    """Of the person's browser or app, never a backend's."""
    user_agent: str = ""
    """Likewise."""


@dataclass(frozen=True, slots=True)
class Permits:
    """What the person allows now; states as in `tributary_domain.consent`."""

    ad_user_data: int
    ad_personalization: int
    is_opted_out: bool = False
    """Whether they object to selling or sharing, or their browser does (GPC)."""
    is_vendor_denied: bool = False
    """Whether a consent string, said with the conversion or later, does not name the destination."""
    withheld_until_micros: int = 0
    """It is told nothing that the person left before this moment, as `withheld.withheld_until`; 0: all of it."""
    names: Mapping[str, Permits] = field(default_factory=dict)
    """What those allow who are other people, and whose identifiers are among the match keys, by `ties.person_key`."""
    homes: frozenset[str] = field(default=frozenset(), compare=False, repr=False)
    """Under which identifiers it was asked, by `ties.person_key`."""

    @property
    def basis(self) -> int:
        """The state that telling the destination rests on, or that keeps it from being told."""
        return DENIED if self.is_vendor_denied else self.ad_user_data


@dataclass(frozen=True, slots=True)
class Pinned:
    """How a conversion was sent first: a correction names the same."""

    visible_id: str
    click_id_family: str = ""
    click_id: str = ""
    time_micros: int = 0
    """As sent; 0: not known."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """The hashes in it, by the destination's name of the field."""
    conversion_id: str = ""
    """Whose revision was sent: the same order, told without its cycle, may have been before."""
    revision: int = 0
    """Which one was sent; 0: not known."""
    name: str = ""
    """What it was called there; "": not known."""
    account: str = ""
    """In which account, likewise."""
    told: str = ""
    """Which value it was told, likewise."""

    @property
    def is_forgotten(self) -> bool:
        """Whether the click or a hash that it was sent with is known no more: it was somebody's who was erased."""
        lacks_click = bool(self.click_id_family) and not self.click_id
        return lacks_click or not all(self.digests.values())

    @property
    def known_as(self) -> KnownAs:
        """By what the destination knows it."""
        return KnownAs(self.visible_id, self.name, self.account, self.told, self.time_micros)


@dataclass(frozen=True, slots=True)
class Home:
    """Where a workspace is."""

    region: str = ""
    """Where its phone numbers without a country code are from; "": it does not say."""
    zone: tzinfo = UTC
    """Of its books: which day something happened there."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One conversion on its way: all that its event is made of."""

    revised: ConversionRevised
    operation: DeliveryOperation.ValueType
    name: str
    """What `conversions` of the settings called it when it was sent first."""
    visible_id: str
    """The id by which the destination knows it; the same for ever."""
    amount_micros: int | None
    """What it is worth, as the destination is told; None: nobody knows. 0 for a retraction."""
    currency: str
    keys: PersonKeys
    permits: Permits
    click_ids: Mapping[str, ResolvedClickId]
    """By family."""
    now_micros: int
    time_micros: int = 0
    """When it was said to have happened, when it was sent or tried first; 0: it was not yet."""
    pinned: Pinned | None = None
    """For a correction."""
    home: Home = Home()
    """Of the workspace."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """A conversion in the destination's language."""

    event: Mapping[str, Any] = field(repr=False)
    """For `json_bytes`: a `Decimal` becomes a number with all its digits. A CRM's holds plain match keys."""
    click_id_family: str = ""
    """Of the click id that is in it."""
    click_id: str = ""
    digests: Mapping[str, str] = field(default_factory=dict)
    """The hashes in it, by the destination's name of the field."""
    time_micros: int = 0
    """The conversion's time in it."""
    group: str = ""
    """Which request it belongs into, where a destination has several: those of one request are of one group."""
    parent: str = field(default="", repr=False)
    """To whom its object belongs there, where writing one locks the other: those of one parent stand together. May be a
    plain match key; "": to nobody."""
    object_id: str = field(default="", repr=False)
    """What it changes there, where several conversions may change the same: they are told one after the other. May be a
    plain match key; "": something of its own."""


@dataclass(frozen=True, slots=True)
class Unmappable:
    """Why a conversion cannot be said in the destination's language."""

    reason: IneligibleReason.ValueType
    message: str = ""
    """For people: which field. No personal data."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is posted."""

    path: str
    """Below the base URL."""
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """May hold a credential beside the token."""
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a destination answered."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: Any = field(repr=False)
    """Parsed JSON; None where it is none. May repeat what was sent, too."""
    text: str = field(repr=False)
    """The beginning of the body, for who writes no JSON. Never kept: it may repeat what was sent."""
    now_seconds: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of the events of one request."""

    whole: Outcome
    """Of every event that `rows` do not name. SPLIT: none was taken; those that `rows` name are to blame, else nobody
    knows which."""
    rows: Mapping[int, Outcome] = field(default_factory=dict)
    """By place in the request."""

    def of(self, place: int) -> Outcome:
        """Returns what became of one event."""
        return self.rows.get(place, self.whole)


@dataclass(frozen=True, slots=True)
class Trial:
    """A request that counts nothing at the destination, whatever it answers."""

    request: Request
    shows: str
    """For people: what it is, and so what a good answer shows."""
    read: Callable[[Answer], Outcome]
    """OK: the answer is what it should be."""


class Adapter(Protocol):
    """The language of one destination. Pure: runs as often as need be."""

    @property
    def policy(self) -> Policy:
        """What it asks."""
        ...

    def event(self, outgoing: Outgoing) -> Mapped | Unmappable:
        """Says one conversion."""
        ...

    def request(self, events: Sequence[bytes], token: str, group: str = "") -> Request:
        """Puts events into one request.

        Args:
            events: As `json_bytes` wrote them, at least one.
            token: The access token, for a proof of it; who sends puts the token itself where the policy says.
            group: As `Mapped.group`, of all of them.
        """
        ...

    def classify(self, answer: Answer, events: int) -> Verdict:
        """Tells what an answer to so many events means; whatever it is."""
        ...

    def trial(self, examples: Sequence[Mapping[str, Any]], token: str, code: str) -> Trial:
        """Makes a request by which the destination tells whether it would take what it is sent.

        A conversion of test traffic is sent so, too, if `has_test_mode` of the settings says that it can be.

        Args:
            examples: Made-up conversions as `event` said them, at least one.
            token: As in `request`.
            code: Of the destination's test view; "": its settings', if they have one.
        """
        ...
