"""Makes what a few people do: visits on shared devices, log-ins, orders seen twice, refunds told twice, leads, bots."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Final

from tests.support.life_facts import DAY, MINUTE, NOW_MICROS, OF_SOURCE, SECOND, SEEN, SOURCES, Fact
from tests.support.shop import EURO
from tributary_domain.conversion_parts import AdjustmentKind, SourceRank
from tributary_domain.journey import TouchKind

_GAPS: Final = (SECOND, 5 * MINUTE, 30 * MINUTE - 1, 30 * MINUTE, 60 * MINUTE, 3 * 60 * MINUTE, DAY, 4 * DAY)


Person = tuple[str, str, Sequence[str]]
"""Customer id, e-mail address and devices."""


class Maker:
    """Makes the facts of a world."""

    def __init__(self, rng: random.Random, facts: list[Fact]) -> None:
        self._rng = rng
        self._facts = facts

    def add(self, **fact: Any) -> Fact:
        made = Fact(event_id=f"e-{self._rng.randrange(10**9):09d}-{len(self._facts)}", **fact)
        self._facts.append(made)
        return made

    def live(self, customer: str, email: str, devices: Sequence[str]) -> None:
        """Somebody comes by, logs in now and then, buys, sends back."""
        rng = self._rng
        at = NOW_MICROS - rng.randrange(8, 26) * DAY + rng.randrange(DAY)
        for _ in range(rng.randrange(2, 7)):
            at = min(at + rng.choice(_GAPS), NOW_MICROS - 2 * MINUTE)
            self._touch(at, rng.choice(devices), customer, email)
        for device in devices:
            if rng.random() < 0.6:
                self.add(micros=NOW_MICROS - rng.randrange(5 * MINUTE, 20 * DAY), tokens=(customer, device))
        if rng.random() < 0.3:
            self.add(micros=NOW_MICROS - rng.randrange(5 * MINUTE, 20 * DAY), tokens=(email, rng.choice(devices)))
        if rng.random() < 0.2:
            for said in ("DENIED", "GRANTED")[: rng.choice([1, 2, 2])]:
                when = at - rng.randrange(3 * DAY) if said == "DENIED" else at + rng.randrange(DAY)
                self.add(micros=min(when, NOW_MICROS), tokens=(rng.choice([customer, *devices]),), decided=said)
        for _ in range(rng.choice([1, 1, 2])):
            bought = min(at + rng.choice(_GAPS), NOW_MICROS - MINUTE)
            self._order(bought, customer, email, rng.choice(devices))
            at = bought

    def bot(self) -> None:
        """A crawler comes by on somebody's device, and may even buy."""
        rng = self._rng
        device, at = f"visitor:v{rng.randrange(4)}", NOW_MICROS - rng.randrange(MINUTE, 20 * DAY)
        bot = {"tokens": (device,), "is_bot": True, "is_released": rng.random() < 0.3}
        self.add(micros=at, touch=int(TouchKind.VISIT), source="google", **bot)
        if rng.random() < 0.5:
            order = {"order_id": f"b-{len(self._facts)}", "value": 9 * EURO, "rank": SourceRank.FRONT}
            self.add(micros=at + 1, **order, **bot)

    def lead(self, people: Sequence[Person]) -> None:
        """Somebody becomes a customer, stage by stage, told by whoever knows: by the lead's id, its order, or both."""
        rng = self._rng
        own, at = f"l-{len(self._facts)}", NOW_MICROS - rng.randrange(2, 20) * DAY
        root = rng.choice(self._orders()) if rng.random() < 0.5 else ""
        for stage in rng.sample(["new", "qualified", "won", "lost"], rng.choice([1, 2, 2, 3])):
            at = min(at + rng.choice(_GAPS), NOW_MICROS - MINUTE)
            lead_id, order_id = rng.choice([(own, root), (own, ""), ("", root)] if root else [(own, "")])
            called = {"lead_id": lead_id, "root_order_id": order_id, "stage": stage}
            self._of_family(at, people, {"order_id": lead_id or order_id, "cycle": f"stage:{stage}", **called})

    def subscription(self, people: Sequence[Person]) -> None:
        """Somebody pays again and again, not always by the same name; first with an order that others tell, perhaps."""
        rng = self._rng
        own, at = f"s-{len(self._facts)}", NOW_MICROS - rng.randrange(2, 20) * DAY
        kinds = rng.sample(["TRIAL", "FIRST"], rng.choice([0, 1, 2, 2]))
        kinds += rng.choices(["RENEWAL", "RENEWAL", "RENEWAL", "UPGRADE", "REACTIVATION"], k=rng.choice([1, 2, 3]))
        for number, kind in enumerate(kinds):
            at = min(at + rng.choice(_GAPS), NOW_MICROS - MINUTE)
            order_id = rng.choice(self._orders()) if kind == "FIRST" and rng.random() < 0.5 else own
            called = {"order_id": order_id, "cycle": f"{number}", "recurrence": kind, "subscription": own}
            self._of_family(at, people, called)
            if order_id != own:
                for another in range(rng.choice([0, 0, 1, 1, 2])):  # begun with the same order
                    further = {"cycle": f"{number}{'ab'[another]}", "subscription": f"{own}-{another}"}
                    self._of_family(at + rng.choice([0, SECOND]), people, {**called, **further})

    def _orders(self) -> list[str]:
        """Returns the numbers of orders that people gave."""
        return [fact.order_id for fact in self._facts if fact.is_observation and not fact.cycle and not fact.is_bot]

    def _of_family(self, at: int, people: Sequence[Person], called: dict[str, str]) -> None:
        rng = self._rng
        customer, email, devices = rng.choice(people)
        device, value = rng.choice(devices), rng.choice([90 * EURO, 7, 0])
        who = rng.choice([(customer,), (email,), (device,), (customer, email)])
        told = self.add(micros=at, tokens=who, value=value, **called)
        if rng.random() < 0.2:
            gross = {"value": value + EURO, "rank": SourceRank.FRONT}
            self.add(micros=at + SECOND, tokens=(device,), **called, **gross)
        if rng.random() < 0.25:
            kind = rng.choice([AdjustmentKind.REFUND, AdjustmentKind.RETRACTION])
            self.add(
                micros=min(at + DAY, NOW_MICROS),
                order_id=called["order_id"],
                cycle=called["cycle"],
                target=told.event_id,
                adjustment=kind,
                adjustment_id=f"a-{len(self._facts)}",
                amount=5 if kind is AdjustmentKind.REFUND else None,
            )

    def _touch(self, at: int, device: str, customer: str, email: str) -> None:
        rng = self._rng
        kind = rng.choice([TouchKind.VISIT] * 5 + [TouchKind.CLICK, TouchKind.COUPON, *SEEN])
        source = rng.choice([name for name in SOURCES if kind in OF_SOURCE.get(name, TouchKind)])
        is_internal = rng.random() < 0.05
        tokens = [device]
        if not is_internal and rng.random() < 0.15:
            tokens.append(rng.choice([customer, email]))
        self.add(
            micros=at,
            tokens=tuple(tokens),
            is_internal=is_internal,
            touch=int(kind),
            source=source,
            click=f"{customer}-{rng.randrange(2)}" if source == "paid" else "",
            interaction=f"i-{customer}-{rng.randrange(2)}" if rng.random() < 0.15 else "",
            session=f"s-{customer}-{rng.randrange(2)}" if rng.random() < 0.2 else "",
        )

    def _order(self, at: int, customer: str, email: str, device: str) -> None:
        rng = self._rng
        order_id, value = f"o-{len(self._facts)}", rng.choice([90 * EURO, 33_333_333, 1, 10 * EURO])
        backend = (customer, email) if rng.random() < 0.3 else (customer,)
        self.add(micros=at, tokens=backend, order_id=order_id, value=value)
        if rng.random() < 0.5:
            gross = {"value": value + EURO, "rank": SourceRank.FRONT}
            self.add(micros=at + rng.choice([-SECOND, SECOND]), tokens=(device,), order_id=order_id, **gross)
        if rng.random() < 0.4:
            late = at + rng.choice([0, SECOND, 2 * SECOND, 2 * SECOND + 1])
            self._touch(min(late, NOW_MICROS), device, customer, email)
        kinds = [AdjustmentKind.REFUND] * 3 + [AdjustmentKind.RESTATEMENT, AdjustmentKind.RETRACTION]
        for number in range(rng.choice([0, 0, 1, 1, 2])):
            kind = rng.choice(kinds)
            amount = None if kind is AdjustmentKind.RETRACTION else rng.choice([value // 3, value, 5 * EURO])
            told = {
                "micros": min(at + (number + 1) * rng.choice([MINUTE, DAY]), NOW_MICROS),
                "order_id": order_id,
                "adjustment": kind,
                "adjustment_id": f"{order_id}-{number}",
                "amount": amount,
            }
            for _ in range(rng.choice([1, 1, 2])):  # by the bank and by the shop: one
                self.add(**told)
