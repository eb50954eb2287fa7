"""Batch destinations on real stores: conversions with sealed match keys, published together, and a fake for each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl

from tests.support.delivery import SHARDS, WORKSPACE_KEY, Rig
from tests.support.eventually import eventually_async
from tests.support.revisions import Revision
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.dedup.v1.match_keys_pb2 import MatchKeys
from tributary.event.v1.consent_pb2 import CONSENT_STATE_GRANTED
from tributary.event.v1.context_pb2 import OBSERVER_BROWSER
from tributary_cli.demo.fakes import FAKES
from tributary_cli.demo.fakes.fake import Ask, Fake, Reply
from tributary_cli.demo.fakes.server import FakeServer
from tributary_domain.sealing import KEY_BYTES, NONCE_BYTES, DataKey, key_name, wrap
from tributary_runtime.batch_destinations import BatchDestination
from tributary_runtime.clock import SystemClock
from tributary_runtime.destination_types import Destination
from tributary_runtime.workspaces import Workspace
from tributary_storage.redis.conversions import Conversions, Publication, conversion_key
from tributary_storage.redis.data_keys import Candidate, DataKeys
from tributary_storage.redis.delivery_job import Lane, PlannedRevision

TOKEN = "a-token-of-the-tests"
EXPIRED = "an-expired-token-of-the-tests"
REFRESH_TOKEN = "a-refresh-token-of-the-tests"
AGENT = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"
BATCHES = tuple(sorted(kind for kind in FAKES if kind != "webhook"))
"""The types that take many conversions in one request."""
_OWN: dict[str, dict[str, Any]] = {
    "google": {"operating_account": "1234567890", "confirm_seconds": 0},
    "linkedin": {},
    "meta": {"dataset_id": "4711"},
    "tiktok": {"event_source_id": "PIXEL"},
    "google_ads": {"customer_id": "123", "developer_token": {"value": "developer"}},
    "hubspot": {"properties": {"amount": "value"}, "retracted": {"dealstage": "closedlost"}},
    "microsoft": {"customer_id": "1", "account_id": "2", "developer_token": {"value": "developer"}},
    "pinterest": {"ad_account_id": "549"},
    "reddit": {"pixel_id": "t2_abc"},
    "salesforce": {"properties": {"Amount": "value"}, "retracted": {"StageName": "Closed Lost"}},
    "snap": {"pixel_id": "PIX"},
}
UNLIMITED = {"requests_per_minute": 1_000_000, "requests_per_ten_seconds": None, "requests_per_day": None}
"""A quota that lets all be called at once, whatever the documentation says."""
NAMES = {
    **{"google": "99", "linkedin": "104012", "google_ads": "99"},
    **{"pinterest": "checkout", "reddit": "PURCHASE", "snap": "PURCHASE"},
}
"""Where it is not called Purchase."""


def declared_batches(kind: str, url: str, **own: Any) -> dict[str, Any]:
    """Returns what the file says of a batch destination."""
    return {
        "id": kind.replace("_", "-"),
        "type": kind,
        "base_url": url,
        "access_token": {"value": TOKEN},
        "conversions": {"purchase": {"name": NAMES.get(kind, "Purchase")}},
        "allow_private_addresses": True,
        "page_url": "https://shop.example/",
        "quota": UNLIMITED,
        **_OWN[kind],
        **own,
    }


def a_batch_destination(kind: str, url: str = "http://127.0.0.1:1", **own: Any) -> BatchDestination:
    """Returns the settings of one."""
    pepper = {"value": "a pepper of the tests"}
    declared = {"id": "shop", "pepper": pepper, "destinations": [declared_batches(kind, url, **own)]}
    destination: Destination = Workspace.model_validate(declared).destinations[0]
    assert isinstance(destination, BatchDestination)
    return destination


@contextmanager
def running_fake(kind: str, unix_seconds: Callable[[], float] | None = None) -> Iterator[FakeServer]:
    """Runs the fake of a destination until the end of the block."""
    with FakeServer(FAKES[kind](TOKEN, unix_seconds)) as server:
        yield server


class FakeTokens(Fake):
    """Gives out access tokens for a refresh token: `token` is the one that holds now."""

    name = "tokens"
    expires_at_once = False
    """Whether the first token that is given out at an address has expired already."""
    rotates = False
    """Whether each answer brings another refresh token; who comes with one of before has stolen it, and all end."""
    instance_url = ""
    """Where it says that the API is."""

    def __init__(self, token: str, unix_seconds: Callable[[], float] | None = None) -> None:
        super().__init__(token, unix_seconds)
        self._given: set[str] = set()
        self.holds = REFRESH_TOKEN
        """The refresh token that holds; "": none does any more."""
        self.refused = 0

    def take(self, ask: Ask) -> Reply:
        """Gives out the one."""
        form = dict(parse_qsl(ask.body.decode()))
        if (form.get("grant_type"), form.get("refresh_token")) != ("refresh_token", self.holds):
            self.refused += 1
            if self.rotates and form.get("refresh_token", "").startswith(REFRESH_TOKEN):
                self.holds = ""
            return Reply(400, {"error": "invalid_grant"})
        is_first = ask.path not in self._given
        self._given.add(ask.path)
        token = EXPIRED if is_first and self.expires_at_once else self.token
        said = {"access_token": token, "expires_in": 3600, "token_type": "Bearer"}
        if self.rotates:
            self.holds = said["refresh_token"] = f"{self.holds}+"
        if self.instance_url:
            said["instance_url"] = self.instance_url
        return Reply(200, said)


def oauth(token_url: str, refresh_token: str = REFRESH_TOKEN) -> dict[str, Any]:
    """Returns what the file says of a destination that is called with tokens from there; in place of `access_token`."""
    given = {"client_id": "an-application", "client_secret": "its-secret", "refresh_token": refresh_token}
    references = {name: {"value": value} for name, value in given.items()}
    return {"access_token": None, "oauth": {**references, "token_url": f"{token_url}/token"}}


@dataclass
class Ahead(SystemClock):
    """The machine's clock, so many hours ahead."""

    hours: float = 0.0

    def unix_micros(self) -> int:
        return super().unix_micros() + round(self.hours * 3_600_000_000)


async def seal(rig: Rig, workspace: str, keys: MatchKeys, person: str = "customer:1") -> bytes:
    """Seals match keys as the door does, under the data key of an identity token."""
    name = key_name(workspace, person)
    candidate = Candidate(wrap(os.urandom(KEY_BYTES), WORKSPACE_KEY), SystemClock().unix_micros())
    stored = await DataKeys(rig.redis, SHARDS).obtain({(workspace, name): candidate}, 3600)
    key = DataKey(workspace, name, stored[workspace, name], [WORKSPACE_KEY])
    return key.seal(keys.SerializeToString(), os.urandom(NONCE_BYTES))


def match_keys(email: str = "Ann@Example.com") -> MatchKeys:
    """Returns what a browser's event says of its person."""
    keys = MatchKeys(client_ip="203.0.113.7", user_agent=AGENT, observed_by=OBSERVER_BROWSER)
    keys.identifiers.email = email
    return keys


def a_purchase(lane: Lane, number: int = 0, **own: Any) -> Revision:
    """Returns a conversion that happened a minute ago."""
    now = SystemClock().now()
    described = {"conversion_id": f"c1:{number:04}", "time": now - timedelta(minutes=1), "published": now, **own}
    return Revision(workspace=lane.workspace, **described)


def clicked(message: ConversionRevised) -> None:
    """Gives a conversion a click of Microsoft's whose id is the visible id: it has none of ours."""
    click = message.match.click_ids.add(family="msclkid", value=message.match.pixel_event_id)
    click.click_time.FromMicroseconds(message.state.conversion_time.ToMicroseconds() - 1_000_000)


async def publish(
    rig: Rig,
    lane: Lane,
    revisions: Sequence[Revision],
    change: Callable[[ConversionRevised], None] | None = None,
    *,
    is_planned: bool = True,
) -> list[ConversionRevised]:
    """Publishes, stores and plans revisions with consent, match keys, and an id that the browser tag shares."""
    sealed = await seal(rig, lane.workspace, match_keys())
    messages = []
    for revision in revisions:
        message = revision.message()
        message.match.consent.ad_user_data = CONSENT_STATE_GRANTED
        message.match.sealed_match_keys.append(sealed)
        message.match.pixel_event_id = f"p-{message.state.conversion_id}"
        if change is not None:
            change(message)
        messages.append(message)
    conversions = Conversions(rig.publisher.client, SHARDS)
    keys = [conversion_key(one.workspace, one.state.conversion_id) for one in messages]
    kept = await conversions.observe({key: {b"12345678": b"part"} for key in keys}, 3600)
    contents = [one.SerializeToString() for one in messages]
    published = [
        Publication(kept[key], 1, one.revision, content, content)
        for key, one, content in zip(keys, messages, contents, strict=True)
    ]
    assert all(await conversions.publish(published))
    await rig.publisher.store(*messages)
    if is_planned:
        await plan(rig, [lane], messages)
    return messages


async def plan(rig: Rig, lanes: Iterable[Lane], messages: Sequence[ConversionRevised]) -> None:
    """Plans what was published, as the planner would."""
    planned = [
        PlannedRevision(one.state.conversion_id, one.revision, one.previous_revision, SystemClock().unix_micros())
        for one in messages
    ]
    for lane in lanes:
        await rig.stores.jobs.plan(lane, planned)


async def deliver(rig: Rig, lane: Lane, server: FakeServer, hours: float = 0.0, **own: Any) -> None:
    """Runs the lane of a batch destination, so many hours ahead, until no job waits.

    Args:
        rig: Stores.
        lane: Whose destination is called as its type is.
        server: The destination's fake.
        hours: From now.
        **own: What the file shall say beside the usual.
    """

    async def is_idle() -> bool:
        return await rig.stores.jobs.waiting(lane) == 0

    clock = Ahead(hours=hours)
    settings = a_batch_destination(lane.destination.replace("-", "_"), server.url, **own)
    sender = rig.senders(clock=clock).make(lane, settings)
    async with rig.running_lane(lane, settings, sender=sender, clock=clock, horizon_seconds=10**8):
        await eventually_async(is_idle)
