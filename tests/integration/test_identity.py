"""Who is one person, through attribution: what peers document, in any order of arrival, stored and taken back.

Where peers differ, the rule is ours and stated at each test; `tests/unit/domain/test_identity.py` has the pure core's.
"""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.support.attribution import DAY, NOON, Admitted, Attribution, Events, running_attribution
from tests.support.worlds import people_who_share
from tributary.attribution.v1.conversion_pb2 import RevisionCause
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.event.v1.identifiers_pb2 import Identifiers
from tributary_attribution.journeys import identification
from tributary_domain.ids import person_id
from tributary_storage.clickhouse.identity_changes import IdentityChanges, StoredChange

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "sessions_and_identity.json").read_text())
MINUTE = 60_000_000


@pytest.fixture
async def attribution(redis_url: str, clickhouse_url: str, workspace: str) -> AsyncIterator[Attribution]:
    async with running_attribution(redis_url, clickhouse_url, workspace) as running:
        yield running


@pytest.fixture
def make(workspace: str) -> Events:
    return Events(workspace)


async def tokens_of(attribution: Attribution, token: str) -> set[str]:
    """Returns who is one person with an identifier."""
    place = attribution.workspace.id, token
    return set((await attribution.people.people_of([place]))[place].tokens)


async def sources(attribution: Attribution, make: Events, order_id: str = "o-1") -> list[str]:
    """Returns the channels that share an order."""
    revised = await newest(attribution, make, order_id)
    return [touch.source.channel for touch in revised.state.touches]


async def newest(attribution: Attribution, make: Events, order_id: str = "o-1") -> ConversionRevised:
    revised = await attribution.published(make.conversion_id(order_id))
    assert revised is not None
    return revised


def causes(revised: ConversionRevised) -> list[str]:
    return [RevisionCause.Name(cause).removeprefix("REVISION_CAUSE_") for cause in revised.causes]


async def changes(attribution: Attribution, *tokens: str) -> list[StoredChange]:
    """Returns what is stored of identifiers, oldest first."""
    return (await IdentityChanges(attribution.clickhouse).of_tokens(attribution.workspace.id, tokens))[::-1]


async def test_segments_worked_example_gives_segments_profiles(attribution: Attribution, make: Events) -> None:
    """The later event loses its e-mail address to the profile that had it, and is of the customer whom it names."""
    example = VECTORS["identity_segment"]["worked_example"]
    jane = f"email:{example['event']['email']}"
    abc123, abc456 = (
        f"customer:{name}" for name in (example["existing"][0]["user_id"][0], example["event"]["user_id"])
    )
    await attribution.handle(make.touch(abc123, jane, channel="Email", at=NOON - 2 * DAY))
    await attribution.handle(make.touch(abc456, jane, channel="Display"), make.order(abc456, jane))
    assert await tokens_of(attribution, jane) == {abc123, jane}
    assert await tokens_of(attribution, abc456) == {abc456}
    assert await sources(attribution, make) == ["Display"]
    assert (await newest(attribution, make)).state.person_id == person_id(make.workspace, abc456)


@pytest.mark.parametrize("seed", range(2))
async def test_two_customers_of_one_device_are_two_people_whoever_arrives_first(
    attribution: Attribution, make: Events, seed: int
) -> None:
    """Like PostHog, Snowplow, mParticle; the anonymous past is the first customer's, where Snowplow's is the last's."""
    world = [
        make.touch("visitor:tablet", channel="Paid Search", at=NOON - 5 * DAY),
        make.touch("customer:1", "visitor:tablet", channel="Email", at=NOON - 4 * DAY),
        make.touch("customer:2", "visitor:tablet", channel="Display", at=NOON - 3 * DAY),
        make.order("customer:1", "visitor:tablet", order_id="o-1"),
        make.order("customer:2", "visitor:tablet", order_id="o-2", at=NOON + MINUTE),
    ]
    random.Random(seed).shuffle(world)
    for event in world:
        await attribution.handle(event)
    assert await sources(attribution, make, "o-1") == ["Paid Search", "Email"]
    assert await sources(attribution, make, "o-2") == ["Display"]
    assert await tokens_of(attribution, "visitor:tablet") == {"customer:1", "visitor:tablet"}


async def test_what_was_anonymous_is_known_after_the_login(attribution: Attribution, make: Events) -> None:
    """Like mParticle's profile conversion: history is kept."""
    await attribution.handle(make.touch("visitor:a", channel="Paid Search"), make.order("customer:1", "email:1"))
    assert await sources(attribution, make) == []
    await attribution.handle(make.identify("visitor:a", "customer:1"))
    revised = await newest(attribution, make)
    assert [touch.source.channel for touch in revised.state.touches] == ["Paid Search"]
    assert causes(revised) == ["IDENTITY_MERGE"]


async def test_a_late_edge_splits_whom_a_later_one_had_joined(attribution: Attribution, make: Events) -> None:
    """The device was another customer's first, as we hear in the end."""
    await attribution.handle(
        make.touch("visitor:a", channel="Paid Search", at=NOON - 3 * DAY), make.order("customer:2", "visitor:a")
    )
    assert await sources(attribution, make) == ["Paid Search"]
    await attribution.handle(make.identify("customer:1", "visitor:a", at=NOON - 4 * DAY))
    revised = await newest(attribution, make)
    assert list(revised.state.touches) == []
    assert causes(revised) == ["IDENTITY_UNMERGE"]
    merge, regroup = await changes(attribution, "visitor:a")
    assert (merge.kind, regroup.kind) == ("MERGE", "REGROUP")
    assert sorted(regroup.tokens_after) == [["customer:1", "visitor:a"], ["customer:2"]]


async def test_a_shared_device_stops_linking(attribution: Attribution, make: Events) -> None:
    """A kiosk: more than five customers in thirty days. Whom it linked before it was one, it links."""
    for number in range(8):
        at = NOON - 2 * DAY + number * MINUTE
        await attribution.handle(make.touch(f"customer:{number}", "visitor:kiosk", channel="Email", at=at))
    await attribution.handle(
        make.touch("visitor:kiosk", channel="Display", at=NOON - DAY),
        *(make.order(f"customer:{number}", order_id=f"o-{number}") for number in (0, 7)),
    )
    assert await sources(attribution, make, "o-7") == ["Email"]
    assert await sources(attribution, make, "o-0") == ["Email", "Display"]


async def test_a_person_keeps_the_first_five_devices(attribution: Attribution, make: Events) -> None:
    """Segment's limit; who came first stays, where Adobe drops the oldest."""
    limit = VECTORS["identity_segment"]["default_limits"]["*"]
    for number in range(limit + 2):
        await attribution.handle(make.identify("customer:1", f"visitor:{number}", at=NOON - DAY + number))
    assert await tokens_of(attribution, "customer:1") == {"customer:1", *(f"visitor:{one}" for one in range(limit))}
    assert await tokens_of(attribution, "visitor:6") == {"visitor:6"}


async def test_what_everybody_is_seen_with_stays_small_and_takes_their_place_all_the_same(
    attribution: Attribution, make: Events
) -> None:
    guests = [make.identify("customer:guest", f"visitor:{number}", at=NOON - DAY + number) for number in range(200)]
    await attribution.handle(*guests[:100])
    await attribution.handle(*guests[100:])
    held = await attribution.people.ties.read([(make.workspace, "customer:guest")])
    assert len(held[make.workspace, "customer:guest"].ties) < 150
    await attribution.handle(make.identify("customer:2", "visitor:199"))
    assert await tokens_of(attribution, "visitor:199") == {"visitor:199"}
    assert len(await tokens_of(attribution, "customer:guest")) == 6


async def test_a_value_that_is_blocked_later_links_nobody_any_more(
    attribution: Attribution, make: Events, redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    """Everybody was seen with a test address, before an operator knew of it; its hash is as good as the address."""
    address = "Test@shop.example"
    hashed = Identifiers(email_sha256=sha256(address.lower().encode()).hexdigest())
    [test] = identification(attribution.workspace).identify(hashed).tokens
    await attribution.handle(make.touch("visitor:a", test, channel="Display", at=NOON - 2 * DAY))
    await attribution.handle(make.touch("visitor:b", test, channel="Email"), make.order("visitor:b"))
    assert await sources(attribution, make) == ["Display", "Email"]
    limits = {"identity": {"blocked_identifiers": [address]}}
    async with running_attribution(redis_url, clickhouse_url, workspace, **limits) as after_reload:
        assert await tokens_of(after_reload, "visitor:b") == {"visitor:b"}
        await after_reload.handle(make.order("visitor:b", order_id="o-2"))
        assert await sources(after_reload, make, "o-2") == []
        plain = Identifiers(email=address)
        await after_reload.handle(make.touch(test, event_id="its own"))
        assert (await after_reload.identities.by_identifiers(workspace, plain)).token == test
        assert list((await after_reload.journeys.by_identifiers(workspace, plain)).identity_tokens) == [test]
        assert await after_reload.erasing.tokens_of(workspace, plain, "") == [test]
        beside = Identifiers(email=address, visitor_id="v-1")
        assert test not in await after_reload.erasing.tokens_of(workspace, beside, ""), "it may be of strangers"


async def test_a_merge_is_stored_once_with_before_and_after(attribution: Attribution, make: Events) -> None:
    login = make.identify("visitor:a", "customer:1", event_id="login")
    await attribution.handle(make.touch("visitor:a"), make.order("customer:1"))
    for _ in range(2):
        await attribution.handle(login)
    [change] = await changes(attribution, "customer:1")
    assert (change.kind, change.causing_event_id) == ("MERGE", "login")
    assert sorted(change.tokens_before) == [["customer:1"], ["visitor:a"]]
    assert change.tokens_after == [["customer:1", "visitor:a"]]
    before, after = change.person_ids_before, change.person_ids_after
    assert sorted(before) == sorted(person_id(make.workspace, token) for token in ("customer:1", "visitor:a"))
    assert after == [person_id(make.workspace, "customer:1")]


async def test_a_known_pair_is_not_asked_for_again(
    attribution: Attribution, make: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    await attribution.handle(make.identify("email:1", "visitor:a", at=NOON - DAY))

    async def read(*_: object) -> None:
        raise AssertionError("the store was asked")

    monkeypatch.setattr(attribution.people.ties, "read", read)
    await attribution.handle(make.touch("email:1", "visitor:a", at=NOON))


async def test_an_unmerge_gives_each_order_back_what_it_had(attribution: Attribution, make: Events) -> None:
    await attribution.handle(
        make.touch("visitor:a", channel="Paid Search", at=NOON - 2 * DAY),
        make.touch("visitor:b", channel="Email"),
        make.order("visitor:b", order_id="o-1"),
    )
    before = (await newest(attribution, make)).state
    await attribution.handle(make.identify("visitor:a", "visitor:b", event_id="by mistake"))
    assert await sources(attribution, make) == ["Paid Search", "Email"]
    [merge] = await changes(attribution, "visitor:a")
    await attribution.identities.undo(make.workspace, merge.change_id)
    revised = await newest(attribution, make)
    assert (revised.state.touches, revised.state.models) == (before.touches, before.models)
    assert revised.state.person_id == before.person_id
    assert causes(revised) == ["IDENTITY_UNMERGE"]
    _, undone = await changes(attribution, "visitor:a")
    assert (undone.kind, undone.undone_change_id) == ("UNDO", merge.change_id)


async def test_what_was_undone_stays_so_whatever_events_say_and_can_be_undone_itself(
    attribution: Attribution, make: Events
) -> None:
    await attribution.handle(make.identify("visitor:a", "visitor:b"))
    [merge] = await changes(attribution, "visitor:a")
    [undone] = await attribution.identities.undo(make.workspace, merge.change_id)
    await attribution.handle(make.identify("visitor:a", "visitor:b", at=NOON - DAY))
    assert await tokens_of(attribution, "visitor:a") == {"visitor:a"}
    await attribution.identities.undo(make.workspace, undone.change_id)
    assert await tokens_of(attribution, "visitor:a") == {"visitor:a", "visitor:b"}


class Died(Exception):
    """The process ended here."""


@pytest.mark.parametrize("step", ["write", "write 2", "finish", "facts", "visit", "publish"])
async def test_an_unmerge_that_died_on_the_way_is_finished_by_the_next_try(
    attribution: Attribution, make: Events, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    await attribution.handle(
        make.touch("visitor:a", channel="Paid Search", at=NOON - 2 * DAY),
        make.order("visitor:b", order_id="o-1"),
        make.identify("visitor:a", "visitor:b"),
    )
    [merge] = await changes(attribution, "visitor:a")
    with monkeypatch.context() as patching:
        die_at(patching, attribution, step)
        with pytest.raises(Died):
            await attribution.identities.undo(make.workspace, merge.change_id)
    await attribution.identities.undo(make.workspace, merge.change_id)
    assert await sources(attribution, make) == []
    assert await tokens_of(attribution, "visitor:a") == {"visitor:a"}
    assert {change.kind for change in await changes(attribution, "visitor:a")} == {"MERGE", "UNDO"}


def die_at(patching: pytest.MonkeyPatch, attribution: Attribution, step: str) -> None:
    method, _, number = step.partition(" ")
    places: dict[str, Any] = {
        "facts": attribution.attributor._linking._facts,
        "visit": attribution.people._journeys,
        "publish": attribution.conversions,
    }
    place, method = places.get(method, attribution.people.ties), "write" if method == "facts" else method
    original, left = getattr(place, method), [int(number or 1)]

    async def die(*arguments: Any, **named: Any) -> Any:
        left[0] -= 1
        if left[0] > 0:
            return await original(*arguments, **named)
        raise Died

    patching.setattr(place, method, die)


async def end_state(attribution: Attribution, workspace: str) -> tuple[list[bytes], list[set[str]]]:
    states = []
    for number in range(4):
        revised = await newest(attribution, Events(workspace), f"o-{number}")
        revised.state.ClearField("first_accept_time")
        states.append(revised.state.SerializeToString(deterministic=True))
    tokens = [f"{kind}:{n}" for kind, count in (("customer", 3), ("email", 3), ("visitor", 5)) for n in range(count)]
    return states, [await tokens_of(attribution, token) for token in tokens]


async def after(
    redis_url: str, clickhouse_url: str, workspace: str, batches: Sequence[Sequence[Admitted]]
) -> tuple[list[bytes], list[set[str]]]:
    """Returns what arrivals end in, in a state store of their own."""
    async with running_attribution(redis_url, clickhouse_url, workspace) as running:
        for batch in batches:
            await running.handle(*batch, backfill=True)
        found = await end_state(running, workspace)
        await running.state.flushdb()
        forget = "ALTER TABLE conversion_revisions DELETE WHERE workspace = %(w)s SETTINGS mutations_sync = 2"
        await running.clickhouse.execute(forget, {"w": workspace})  # else it would be restored
    return found


@pytest.mark.parametrize("seed", range(3))
async def test_any_order_of_arrival_ends_in_the_same_people_and_credits(
    redis_url: str, clickhouse_url: str, workspace: str, seed: int
) -> None:
    world, rng = people_who_share(workspace, seed), random.Random(seed)
    wanted = await after(redis_url, clickhouse_url, workspace, [world])
    shuffled = world + rng.sample(world, 8)
    rng.shuffle(shuffled)
    batches = []
    while shuffled:
        size = rng.choice((1, 2, 5))
        batches.append(shuffled[:size])
        shuffled = shuffled[size:]
    found = await after(redis_url, clickhouse_url, workspace, batches)
    assert found[1] == wanted[1]
    assert found[0] == wanted[0]
