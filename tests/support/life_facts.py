"""What happened in a small random world, as facts that know nothing of arrival, and how a backend tells them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Final

from tests.support.shop import BOT, BROWSER, NOW
from tributary.event.v1.adjustment_pb2 import AdjustmentReason
from tributary.event.v1.consent_pb2 import ConsentState
from tributary.event.v1.context_pb2 import OBSERVER_BACKEND, OBSERVER_BROWSER
from tributary.event.v1.conversion_pb2 import RecurrenceKind
from tributary.event.v1.event_pb2 import TRAFFIC_INTERNAL, Event
from tributary_domain.conversion_parts import AdjustmentKind, SourceRank
from tributary_domain.event_order import event_hash
from tributary_domain.journey import DIRECT, NO_CONSENT, NO_TOUCH, JourneyTouch, TouchKind
from tributary_domain.ties import Tie, edges_of, telling

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
DAY: Final = 86_400 * SECOND
NOW_MICROS: Final = int(NOW.timestamp()) * SECOND
_SITE: Final = "https://shop.example/"
_PAGES: Final = {
    "google": f"{_SITE}?utm_source=google&utm_medium=cpc&utm_campaign=spring",
    "mail": f"{_SITE}?utm_source=newsletter&utm_medium=email",
    "social": f"{_SITE}?utm_source=facebook&utm_medium=paid_social",
    "partner": f"{_SITE}?utm_source=blog&utm_medium=affiliate",
    "direct": _SITE,
    "paid": "",  # only a click id tells
    "returned": f"{_SITE}thanks",  # from where one pays
}
SOURCES: Final = list(_PAGES)
SEEN: Final = (TouchKind.IMPRESSION, TouchKind.ENGAGED_VIEW, TouchKind.OPEN)
OF_SOURCE: Final = {"direct": set(TouchKind) - {*SEEN}, "returned": {TouchKind.VISIT}}
Place = tuple[str, str]
"""What a conversion is called: order id and cycle, or what stands for them."""


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One event: who, when, and one of a touch, a conversion, an adjustment, a log-in."""

    event_id: str
    micros: int
    tokens: tuple[str, ...] = ()
    is_bot: bool = False
    is_released: bool = False
    """Whether an operator says in the end that it was no bot."""
    is_internal: bool = False
    touch: int = 0
    """A `TouchKind`."""
    source: str = ""
    click: str = ""
    interaction: str = ""
    session: str = ""
    order_id: str = ""
    """Of the conversion that it observes or adjusts; of a stage or a cycle what stands for it, and its `cycle`."""
    cycle: str = ""
    lead_id: str = ""
    root_order_id: str = ""
    stage: str = ""
    recurrence: str = ""
    """What kind of cycle it is."""
    subscription: str = ""
    """Of which subscription; its first cycle is an order with a number, perhaps, which others tell without it."""
    target: str = ""
    """Of an adjustment: the event it names, instead of an order."""
    value: int = 0
    rank: SourceRank = SourceRank.BACKEND
    adjustment: AdjustmentKind | None = None
    adjustment_id: str = ""
    amount: int | None = None
    decided: str = ""
    """What the person said about consent: GRANTED, DENIED."""

    @cached_property
    def key(self) -> tuple[int, int]:
        """Its place in event order."""
        return self.micros, event_hash(self.event_id)

    @cached_property
    def conversion(self) -> Place:
        """Which conversion it observes or adjusts."""
        return self.order_id, self.cycle

    @property
    def told_without(self) -> Place | None:
        """What the same order is as others tell it; None: it is no first cycle that has the number of an order."""
        return (self.order_id, "") if self.recurrence == "FIRST" and self.order_id != self.subscription else None

    @property
    def is_observation(self) -> bool:
        return bool(self.order_id) and self.adjustment is None

    @cached_property
    def home(self) -> str:
        """The identifier it belongs to."""
        return min(self.tokens, key=telling)


def entry_of(fact: Fact, decided: Sequence[tuple[int, str]]) -> JourneyTouch:
    kind = fact.touch or int(TouchKind.CONVERSION)
    flags = DIRECT if fact.source == "direct" else NO_TOUCH if fact.source == "returned" else 0
    if [said for at, said in decided if at <= fact.micros][-1:] == ["DENIED"]:
        flags |= NO_CONSENT
    return JourneyTouch(
        *fact.key,
        kind,
        SOURCES.index(fact.source) + 1 if fact.source else 0,
        flags,
        click=event_hash(fact.click) if fact.click else 0,
        interaction=event_hash(fact.interaction) if fact.interaction else 0,
        session=event_hash(fact.session) if fact.session else 0,
    )


def edges_between(good: Iterable[Fact]) -> list[Tie]:
    """Returns who was seen with whom: in one event, or by two who observed one order, when the later of them did."""
    edges: list[Tie] = []
    orders: dict[Place, dict[str, tuple[int, int]]] = {}
    for fact in sorted(good, key=lambda fact: fact.key):
        edges += edges_of(fact.tokens, *fact.key)
        if fact.is_observation:
            for token in fact.tokens:
                orders.setdefault(fact.conversion, {}).setdefault(token, fact.key)
    for first in orders.values():
        for one, other in combinations(sorted(first), 2):
            if not one.startswith("customer:") or not other.startswith("customer:"):
                edges += edges_of([one, other], *max(first[one], first[other]))
    return edges


def message_of(fact: Fact) -> Event:
    event = Event(event_id=fact.event_id, session_id=fact.session)
    event.event_time.FromMicroseconds(fact.micros)
    for token in fact.tokens:
        kind, _, value = token.partition(":")
        setattr(event.identifiers, {"email": "email"}.get(kind, f"{kind}_id"), value)
    if fact.touch:
        event.touchpoint.kind = fact.touch  # type: ignore[assignment]
        event.touchpoint.interaction_id = fact.interaction
        event.context.page_url = _PAGES[fact.source] or f"{_SITE}?gclid={fact.click}"
        if fact.source == "returned":
            event.context.referrer_url = "https://checkout.stripe.com/"
    elif fact.adjustment:
        told = event.adjustment
        told.adjustment_id = fact.adjustment_id
        if fact.target:
            told.event_id = fact.target
        else:
            told.conversion_name, told.order_id = "purchase", fact.order_id
        told.reason = AdjustmentReason.Value(f"ADJUSTMENT_REASON_{fact.adjustment.name}")
        if fact.amount is not None:
            told.amount.currency_code, told.amount.amount_micros = "EUR", fact.amount
        return event
    elif fact.order_id:
        conversion = event.conversion
        conversion.name = "purchase"
        if fact.stage:
            lead = conversion.lead
            lead.lead_id, lead.root_order_id, lead.stage = fact.lead_id, fact.root_order_id, fact.stage
        elif fact.recurrence:
            conversion.recurrence.subscription_id, conversion.recurrence.cycle = fact.subscription, fact.cycle
            conversion.order_id = "" if fact.order_id == fact.subscription else fact.order_id
            conversion.recurrence.kind = RecurrenceKind.Value(f"RECURRENCE_KIND_{fact.recurrence}")
        else:
            conversion.order_id = fact.order_id
        event.conversion.value.currency_code, event.conversion.value.amount_micros = "EUR", fact.value
    elif fact.decided:
        event.consent_change.SetInParent()
        event.consent.analytics_storage = ConsentState.Value(f"CONSENT_STATE_{fact.decided}")
        event.consent.consent_time.FromMicroseconds(fact.micros)
        return event
    else:
        event.identify.SetInParent()
        return event
    is_backend = bool(fact.order_id) and fact.rank is SourceRank.BACKEND
    event.context.observed_by = OBSERVER_BACKEND if is_backend else OBSERVER_BROWSER
    if not is_backend:
        event.context.user_agent = BOT if fact.is_bot else BROWSER
    if fact.is_internal:
        event.traffic = TRAFFIC_INTERNAL
    return event
