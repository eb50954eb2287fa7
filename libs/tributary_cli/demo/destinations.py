"""The demo's ad destinations: what each is sent in truth, and what the fakes say that they got.

The one rule: what is expected follows from the world alone. Who consented is asked at the log-in, where the shop learns
the e-mail address too; who has neither is sent nowhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from tributary_cli.demo.checks import Check, equal, within
from tributary_cli.demo.fakes import FAKES
from tributary_cli.demo.fakes.server import FakeServer
from tributary_cli.demo.warehouse import Warehouse
from tributary_cli.demo.world import Person, Purchase, World, consents

TOKEN: Final = "token-of-the-demo"  # noqa: S105 - the fakes' own
KINDS: Final = ("google", "meta", "linkedin", "tiktok")
_FAIL_EVERY: Final = {"google": 11, "meta": 11, "linkedin": 0, "tiktok": 11}
"""Every so many requests one fails after its effect, where the destination knows it again."""
_NAMES: Final = {
    "google": ("1001", "1002"),
    "meta": ("Purchase", "Lead"),
    "linkedin": ("104012", "104013"),
    "tiktok": ("Purchase", "Lead"),
}
_OWN: Final[Mapping[str, Mapping[str, Any]]] = {
    # The fake has processed what it has taken, and carries nothing out late.
    "google": {"operating_account": "1234567890", "confirm_seconds": 0, "unanswered_seconds": 1},
    "meta": {"dataset_id": "4711"},
    "linkedin": {},
    "tiktok": {"event_source_id": "PIXEL"},
}
_MOST_AGE: Final = {"google": 90, "meta": 7, "linkedin": 90, "tiktok": 7}
_MICROS: Final = 1_000_000

_RESIDUALS: Final = """
SELECT destination_id, residual_micros
FROM bi_delivery_residuals
WHERE workspace = {workspace:String} AND currency != ''
"""

_FUNNEL: Final = """
SELECT destination_id, sum(captured) AS captured, sum(waiting + unsent + retrying) AS open, sum(accepted) AS accepted
FROM bi_delivery_funnel
WHERE workspace = {workspace:String}
GROUP BY destination_id
"""
_CONVERSIONS: Final = "SELECT count() FROM conversions FINAL WHERE workspace = {workspace:String}"
_UNKNOWN: Final = """
SELECT destination_id, visible_id
FROM deliveries FINAL
WHERE workspace = {workspace:String} AND state = 'DEAD' AND outcome = 'UNKNOWN'
"""
_KNOWS_NOTHING_AGAIN: Final = frozenset({"linkedin"})
"""Whose ids are no key: an attempt that died on its way is never repeated, and whether it arrived nobody can say."""


def make_servers() -> dict[str, FakeServer]:
    """Returns a server per destination; none answers yet."""
    return {kind: FakeServer(FAKES[kind](TOKEN), fail_every=_FAIL_EVERY[kind]) for kind in KINDS}


def declared(kind: str, url: str) -> dict[str, Any]:
    """Returns what `workspaces.yaml` says of a destination."""
    purchase, signup = _NAMES[kind]
    return {
        "id": kind,
        "type": kind,
        "base_url": url,
        "access_token": {"value": TOKEN},
        "conversions": {"purchase": {"name": purchase}, "signup": {"name": signup}},
        "allow_private_addresses": True,
        "page_url": "https://shop.example/",
        "quota": {"requests_per_minute": 120},  # so that some come together in every request
        **_OWN[kind],
    }


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a destination has in the end, and what it should have."""

    kind: str
    must: frozenset[str]
    """Visible ids that it must have."""
    may: frozenset[str]
    """Those, and what was becoming too old while the demo ran."""
    counted: Mapping[str, int]
    """Visible id -> how often it is counted there."""
    value_micros: int
    """What it reports."""
    true_micros: int
    """What the same conversions are worth."""
    residual_micros: int
    """What the ledger says that it has too much."""
    unknown: frozenset[str]
    """Visible ids of which the ledger says that nobody knows whether they arrived."""
    requests: int
    failures: int
    conversions: int
    """All that there are, sent or not."""
    funnel: Mapping[str, int]
    """What the delivery funnel says, over all days."""

    def checks(self) -> Iterator[Check]:
        """Yields what must hold."""
        counted = self.counted.keys()
        least = len(self.must - self.unknown)
        yield within(f"{self.kind}: conversions accepted", least, len(self.may), len(counted & self.may))
        yield equal(f"{self.kind}: accepted that should not be, or not accepted", 0, len(self._wrong()))
        if self.kind not in _KNOWS_NOTHING_AGAIN:
            yield equal(f"{self.kind}: given up with an unknown outcome", 0, len(self.unknown))
        yield equal(f"{self.kind}: counted more than once", 0, sum(count > 1 for count in self.counted.values()))
        difference = self.value_micros - self.true_micros
        yield equal(f"{self.kind}: value it has too much, as the ledger says", self.residual_micros, difference)
        funnel = Counter(self.funnel)
        yield equal(f"{self.kind}: captured, as the funnel says", self.conversions, funnel["captured"])
        yield equal(f"{self.kind}: accepted, as the funnel says", len(counted - self.unknown), funnel["accepted"])
        yield equal(f"{self.kind}: waiting, as the funnel says", 0, funnel["open"])

    def _wrong(self) -> set[str]:
        return (self.counted.keys() - self.may) | (self.must - self.counted.keys() - self.unknown)


async def outcomes(
    servers: Mapping[str, FakeServer],
    world: World,
    began: datetime,
    ended: datetime,
    warehouse: Warehouse,
) -> list[Outcome]:
    """Returns what each destination has in the end.

    Args:
        servers: By kind.
        world: What happened.
        began: When the first event was sent.
        ended: When nothing was on its way any more.
        warehouse: Where the ledger is.
    """
    residuals: dict[str, int] = {}
    for row in await warehouse.rows(_RESIDUALS):
        kind = row["destination_id"]
        residuals[kind] = residuals.get(kind, 0) + int(row["residual_micros"] or 0)
    unknown: dict[str, set[str]] = {kind: set() for kind in KINDS}
    for row in await warehouse.rows(_UNKNOWN):
        if row["destination_id"] in unknown:
            unknown[row["destination_id"]].add(_of_the_world(row["visible_id"]))
    conversions = await warehouse.number(_CONVERSIONS)
    funnels = {row.pop("destination_id"): row for row in await warehouse.rows(_FUNNEL)}
    found = []
    for kind in KINDS:
        about = (residuals.get(kind, 0), frozenset(unknown[kind]), conversions, funnels.get(kind, {}))
        found.append(_outcome(kind, servers[kind], world, began, ended, *about))
    return found


def _outcome(
    kind: str,
    server: FakeServer,
    world: World,
    began: datetime,
    ended: datetime,
    residual_micros: int,
    unknown: frozenset[str],
    conversions: int,
    funnel: Mapping[str, int],
) -> Outcome:
    fake, most_age = server.fake, timedelta(days=_MOST_AGE[kind])
    worth: dict[str, int] = {}
    must, may = set[str](), set[str]()
    for purchase in _sendable(world.people):
        visible_id = purchase.order_id or purchase.event_id if kind == "google" else purchase.event_id
        worth[visible_id] = max(0, purchase.value_micros - purchase.refund_micros)
        if purchase.time >= began - most_age:
            may.add(visible_id)
        if purchase.time >= ended - most_age:
            must.add(visible_id)
    counted = Counter[str]()
    for visible_id, times in fake.counted.items():
        counted[_of_the_world(visible_id)] += times
    return Outcome(
        kind=kind,
        must=frozenset(must),
        may=frozenset(may),
        counted=counted,
        # What the ledger does not know of, it says no residual of.
        value_micros=sum(
            int(value * _MICROS) for one, value in fake.values.items() if _of_the_world(one) not in unknown
        ),
        true_micros=sum(worth.get(visible_id, 0) for visible_id in counted if visible_id not in unknown),
        residual_micros=residual_micros,
        unknown=unknown,
        requests=fake.requests,
        failures=server.failed_on_purpose,
        conversions=conversions,
        funnel=funnel,
    )


def _of_the_world(visible_id: str) -> str:
    """Returns what the world calls it, whichever observation of an order was the first to arrive."""
    return visible_id.removesuffix("-backend")


def _sendable(people: Iterable[Person]) -> Iterator[Purchase]:
    """Yields what ad destinations are sent: consented, and with an e-mail address, which each of them takes."""
    return (one for person in people if consents(person) for one in person.purchases if one.logged_in)


def as_text(micros: int) -> str:
    """Returns an amount for people, in whole units."""
    return f"{Decimal(micros) / _MICROS:,.0f}"
