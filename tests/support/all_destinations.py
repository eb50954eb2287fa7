"""Every type of destination at once: their fakes behind one port, a lane for each, and what became of conversions."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from tests.support.batches import FAKES, TOKEN, FakeTokens, declared_batches, oauth
from tests.support.delivery import Rig, declared
from tests.support.destinations import SECRET
from tests.support.eventually import eventually_async
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_STATE_DEAD,
    DeliveryState,
    OutcomeClass,
)
from tributary_cli.demo.fakes.fake import Ask, Reply
from tributary_cli.demo.fakes.http import Cut, LoopbackHttp
from tributary_cli.demo.fakes.server import Disturbed
from tributary_runtime.destination_types import Destination
from tributary_runtime.workspaces import Workspace
from tributary_storage.redis.delivery_job import Lane

KINDS = tuple(FAKES)


@dataclass
class Stand:
    """One destination."""

    kind: str
    lane: Lane
    front: Disturbed
    declared: dict[str, Any]
    """What the file says of it."""

    @property
    def settings(self) -> Destination:
        pepper = {"value": "a pepper of the tests"}
        read = {"id": self.lane.workspace, "pepper": pepper, "destinations": [self.declared]}
        return Workspace.model_validate(read).destinations[0]

    @property
    def knows_again(self) -> bool:
        """Whether it knows a conversion that is sent again: of LinkedIn nobody says that it does."""
        return self.kind != "linkedin"

    @property
    def most_per_call(self) -> int:
        return getattr(self.settings, "batch_size", 1)

    def known_as(self, conversion_id: str) -> str:
        """Returns what it calls a conversion of `batches.publish`."""
        return conversion_id if self.kind == "webhook" else f"p-{conversion_id}"


@dataclass(frozen=True)
class Fate:
    """What became of a conversion at a destination."""

    effects: int
    """How often it is counted there."""
    state: str
    """In the ledger."""
    outcome: str = ""
    """Where it is dead."""


TAKEN = Fate(1, "ACCEPTED")
REFUSED = Fate(0, "DEAD", "PERMANENT")
WITHHELD = Fate(0, "INELIGIBLE")


def in_doubt(effects: int) -> Fate:
    """Returns the fate of what nobody knows the outcome of; the fake knows."""
    return Fate(effects, "DEAD", "UNKNOWN")


class Row:
    """All destinations of a workspace, open for business inside `open_row`."""

    def __init__(self, stands: dict[str, Stand], tokens: FakeTokens) -> None:
        self.stands = stands
        self.tokens = tokens

    def __iter__(self) -> Iterator[Stand]:
        return iter(self.stands.values())

    @property
    def lanes(self) -> list[Lane]:
        return [stand.lane for stand in self]

    async def deliver(
        self, rig: Rig, until: Callable[[], Any] | None = None, *, seconds: float = 30, **own: Any
    ) -> None:
        """Runs a lane for each, until no job waits, or `until` holds."""

        async def is_idle() -> None:
            waiting = {stand.kind: await rig.stores.jobs.waiting(stand.lane) for stand in self}
            assert not any(waiting.values()), f"{waiting} wait"

        failure: AssertionError | None = None
        async with AsyncExitStack() as closing:
            for stand in self:
                await closing.enter_async_context(rig.running_lane(stand.lane, stand.settings, **own))
            try:
                await eventually_async(until or is_idle, seconds)
            except AssertionError as error:  # raised when the lanes have ended: theirs are groups around groups
                failure = error
        if failure is not None:
            raise failure

    async def fates(self, rig: Rig, conversion_ids: Iterable[str]) -> dict[tuple[str, str], Fate]:
        """Returns what became of conversions, by (kind, conversion id)."""
        found: dict[tuple[str, str], Fate] = {}
        for conversion_id in conversion_ids:
            lines = await rig.history.deliveries(next(iter(self)).lane.workspace, conversion_id)
            states: dict[str, list[tuple[str, str]]] = {}
            for line in lines:
                state = DeliveryState.Name(line.state).removeprefix("DELIVERY_STATE_")
                outcome = OutcomeClass.Name(line.outcome).removeprefix("OUTCOME_CLASS_")
                states.setdefault(line.destination_id, []).append(
                    (state, outcome if line.state == DELIVERY_STATE_DEAD else "")
                )
            for stand in self:
                effects = stand.front.fake.counted[stand.known_as(conversion_id)]
                [(state, outcome)] = states.get(stand.lane.destination, [("nothing", "")])
                found[stand.kind, conversion_id] = Fate(effects, state, outcome)
        return found


def differences(expected: Mapping[tuple[str, str], Fate], found: Mapping[tuple[str, str], Fate]) -> list[str]:
    """Returns what is not as expected, in words."""
    names = sorted({*expected, *found})
    return [
        f"{kind} {conversion_id}: {found.get((kind, conversion_id))}, not {expected.get((kind, conversion_id))}"
        for kind, conversion_id in names
        if found.get((kind, conversion_id)) != expected.get((kind, conversion_id))
    ]


@contextmanager
def open_row(
    workspace: str,
    *,
    kinds: Iterable[str] = KINDS,
    tls: ssl.SSLContext | None = None,
    refresh: Iterable[str] = (),
    front: type[Disturbed] = Disturbed,
    **own: Any,
) -> Iterator[Row]:
    """Opens the fakes of destinations, all behind one port.

    Args:
        workspace: Whose.
        kinds: Which.
        tls: If set, they speak TLS with this.
        refresh: Which are called with tokens that are refreshed.
        front: What stands before each fake.
        **own: What the file shall say of every one beside the usual.
    """
    tokens = FakeTokens(TOKEN)
    fronts = {kind: front(FAKES[kind](SECRET if kind == "webhook" else TOKEN)) for kind in kinds}
    fronts["tokens"] = Disturbed(tokens)

    def respond(ask: Ask) -> Reply | Cut:
        kind, _, path = ask.path[1:].partition("/")
        return fronts[kind].respond(replace(ask, path=f"/{path}"))

    with LoopbackHttp("destinations", respond, tls=tls) as http:
        stands = {}
        for kind in kinds:
            url = f"{http.url}/{kind}"
            renewed = oauth(f"{http.url}/tokens/{kind}") if kind in refresh else {}
            said = {**renewed, **own}
            told = declared(url, "webhook", **said) if kind == "webhook" else declared_batches(kind, url, **said)
            stands[kind] = Stand(kind, Lane(workspace, told["id"]), fronts[kind], told)
        yield Row(stands, tokens)
