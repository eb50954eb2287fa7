"""Leads and subscriptions, as admitted events."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from tests.support.attribution import DAY, NOON, Admitted, Events
from tributary.event.v1.adjustment_pb2 import AdjustmentReason
from tributary.event.v1.conversion_pb2 import RecurrenceKind
from tributary.event.v1.event_pb2 import Traffic
from tributary_domain.business_keys import business_key


@dataclass
class Families:
    """Makes events of leads and subscriptions; say only what matters."""

    events: Events

    def stage(
        self,
        *tokens: str,
        stage: str,
        lead_id: str = "",
        root: str = "",
        name: str = "lead",
        at: int = NOON,
        micros: int | None = 10_000_000,
        order_id: str = "",
        **more: Any,
    ) -> Admitted:
        letter, event = self.events.order(*tokens, at=at, order_id=order_id, micros=micros, **more)
        conversion = event.event.conversion
        conversion.name = name
        conversion.lead.lead_id, conversion.lead.root_order_id, conversion.lead.stage = lead_id, root, stage
        return letter, self._named(event)

    def root(self, *tokens: str, order_id: str, name: str = "lead", **more: Any) -> Admitted:
        """Returns an order that a lead may be named by."""
        letter, event = self.events.order(*tokens, order_id=order_id, **more)
        event.event.conversion.name = name
        return letter, self._named(event)

    def cycle(
        self,
        *tokens: str,
        kind: str,
        cycle: str,
        subscription: str = "s-1",
        order_id: str = "",
        name: str = "payment",
        at: int = NOON,
        micros: int | None = 10_000_000,
        **more: Any,
    ) -> Admitted:
        letter, event = self.events.order(*tokens, at=at, order_id=order_id, micros=micros, **more)
        conversion = event.event.conversion
        conversion.name = name
        conversion.recurrence.subscription_id, conversion.recurrence.cycle = subscription, cycle
        conversion.recurrence.kind = RecurrenceKind.Value(f"RECURRENCE_KIND_{kind}")
        return letter, self._named(event)

    def adjusted(self, adjustment: Admitted, conversion: Admitted) -> Admitted:
        """Returns an adjustment of another conversion."""
        letter, event = adjustment
        event.event.adjustment.ClearField("conversion_name")
        event.event.adjustment.conversion_id = event.conversion_id = conversion[1].conversion_id
        return letter, event

    def of_order(self, adjustment: Admitted, conversion: Admitted, *, with_cycle: bool) -> Admitted:
        """Returns an adjustment of another conversion, which it names by the order."""
        letter, event = adjustment
        order, adjusted = conversion[1].event.conversion, event.event.adjustment
        adjusted.conversion_name, adjusted.store, adjusted.order_id = order.name, order.store, order.order_id
        adjusted.cycle = order.recurrence.cycle if with_cycle else ""
        event.conversion_id = business_key(self.events.workspace, event.event, "adjustment", b"").conversion_id
        return letter, event

    def of_store(self, conversion: Admitted, store: str) -> Admitted:
        """Returns the same of another shop."""
        conversion[1].event.conversion.store = store
        return conversion[0], self._named(conversion[1])

    def _named(self, event: Any) -> Any:
        event.conversion_id = business_key(self.events.workspace, event.event, "conversion", b"").conversion_id
        return event


def awkward_families(workspace: str, rng: random.Random, groups: int) -> list[Admitted]:
    """Returns what leads and subscriptions may do, in no order: named in every way, reported twice, taken back."""
    made: list[Admitted] = []
    for group in range(groups):
        made += _awkward(Families(Events(workspace)), rng, f"{group}")
    for number, (_, event) in enumerate(made):
        event.event.event_id = f"e-{number}"
    rng.shuffle(made)
    seen: set[str] = set()
    admitted = []
    for letter, event in made:
        if event.event.HasField("conversion"):
            letter = "M" if event.conversion_id in seen else letter
            seen.add(event.conversion_id)
        admitted.append((letter, event))
    return admitted


def _awkward(families: Families, rng: random.Random, own: str) -> list[Admitted]:
    events = families.events
    people = [f"{kind}:{own}-{number}" for kind in ("visitor", "email") for number in range(3)]
    channels = ("Email", "Display", "Direct", "Paid Search", "Referral")
    made = [
        events.touch(rng.choice(people), at=NOON - rng.randrange(-30, 30) * DAY // 3, channel=rng.choice(channels))
        for _ in range(12)
    ]
    conversions: list[Admitted] = []

    def at() -> int:
        return NOON + rng.randrange(20) * DAY // 2

    def more() -> dict[str, Any]:
        is_test = rng.random() < 0.1
        own = {"micros": rng.choice((None, 0, 7, 90 * 1_000_000)), "rank": rng.choice((1, 2))}
        return own | ({"traffic": Traffic.TRAFFIC_TEST} if is_test else {})

    for order_id in (f"{own}-1", f"{own}-2"):
        for name in rng.sample(("lead", "purchase", "deal"), 2):
            conversions.append(families.root(rng.choice(people), order_id=order_id, name=name, at=at(), **more()))
    for _ in range(rng.randrange(2, 6)):
        names = rng.choice((("a", ""), ("b", ""), ("", "1"), ("", "2"), ("a", "1"), ("b", "2")))
        lead_id, root = (f"{own}-{text}" if text else "" for text in names)
        stage = rng.choice(("new", "qualified", "won", "lost"))
        told = {"lead_id": lead_id, "root": root, "name": rng.choice(("lead", "purchase", "deal"))}
        if rng.random() < 0.4:  # an order of its own, by which others name their lead, perhaps, or which is a root
            told["order_id"] = f"{own}-{rng.randrange(1, 5)}"
        conversions.append(families.stage(rng.choice(people), stage=stage, at=at(), **told, **more()))
    for number in range(rng.randrange(6)):
        kind = rng.choice(("TRIAL", "FIRST", "RENEWAL", "RENEWAL", "UPGRADE", "REACTIVATION"))
        cycle = f"{number // 2}"
        if (
            rng.random() < 0.5
        ):  # told by others without the cycle, perhaps; and what they were told as is a root, perhaps
            name, order_id = rng.choice(("lead", "purchase", "payment")), f"{own}-{rng.randrange(1, 4)}"
            told = {"order_id": order_id, "name": name}
            conversions.append(families.root(rng.choice(people), at=at(), **told, **more()))
        else:
            told = {}
        conversions.append(
            families.cycle(rng.choice(people), kind=kind, cycle=cycle, subscription=own, at=at(), **told, **more())
        )
    for number in range(rng.choice((0, 1, 1, 2))):
        made += _told_in_several_ways(families, rng, conversions, f"{own}-several-{number}", people)
    for conversion in conversions:
        if rng.random() < 0.15:
            made.append(families.adjusted(events.retraction(at=NOON + 12 * DAY), conversion))
        if rng.random() < 0.15:
            made.append(families.adjusted(events.refund(3, at=NOON + 12 * DAY), conversion))
    if rng.random() < 0.5:
        made.append(events.identify(*rng.sample(people, 2), at=NOON))
    return made + conversions


def _told_in_several_ways(
    families: Families, rng: random.Random, conversions: list[Admitted], order_id: str, people: list[str]
) -> list[Admitted]:
    """Adds an order that is told as first cycles and without any; returns what changes it, whatever that names."""
    told: dict[str, Any] = {"order_id": order_id, "name": rng.choice(("purchase", "payment"))}
    store = rng.choice(("", "", "de"))

    def more() -> dict[str, Any]:
        micros = rng.choice((None, 7, 40 * 1_000_000, 60 * 1_000_000))
        return {"at": NOON + rng.randrange(3), "micros": micros, "rank": rng.choice((1, 2)), **told}

    made = []
    for number in range(rng.choice((1, 2, 2, 3))):
        kind = rng.choice(("FIRST", "FIRST", "FIRST", "UPGRADE"))
        own = rng.choice((order_id, f"{order_id}-{number}")) + "-s"
        one = families.cycle(rng.choice(people), kind=kind, cycle=f"c-{number}", subscription=own, **more())
        made.append(families.of_store(one, store))
        if rng.random() < 0.3:
            renewal = {**more(), "order_id": "", "at": NOON + 3 * DAY}
            one = families.cycle(rng.choice(people), kind="RENEWAL", cycle="r", subscription=own, **renewal)
            made.append(families.of_store(one, store))
    for _ in range(rng.choice((0, 1, 1, 2))):
        plain = families.root(rng.choice(people), **more())
        made.append(families.of_store(plain, rng.choice((store, store, "fr"))))
    conversions += made
    changes = []
    orders = [one for one in made if one[1].event.conversion.order_id]
    for _ in range(rng.choice((0, 1, 2, 3))):
        micros, at = rng.choice((1, 5, 30, 50, 70)) * 1_000_000, NOON + DAY + rng.randrange(3)
        letter, event = families.events.refund(micros, at=at)
        adjustment = event.event.adjustment
        reason = rng.choice(("REFUND", "REFUND", "REFUND", "CHARGEBACK", "REVERSAL", "RESTATEMENT", "RETRACTION"))
        adjustment.reason = AdjustmentReason.Value(f"ADJUSTMENT_REASON_{reason}")
        adjustment.adjustment_id = rng.choice(("", "r-1", "r-2"))
        if reason == "RETRACTION":
            adjustment.ClearField("amount")
        names_cycle = rng.random() < 0.3
        changes.append(families.of_order((letter, event), rng.choice(orders), with_cycle=names_cycle))
    return changes
