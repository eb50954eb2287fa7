"""A revision has the causes it has, whatever batch before it is still being stored, here or in another process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.support.attribution import DAY, NOON, Admitted, Attribution, Events, entry, leaving, running_attribution
from tributary.attribution.v1.conversion_pb2 import RevisionCause
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_storage.clickhouse.names import timestamp
from tributary_storage.redis.ties import IdentityTies

CUSTOMER, VISITOR, EMAIL = "customer:c", "visitor:v", "email:e"


@pytest.fixture
async def attribution(redis_url: str, clickhouse_url: str, workspace: str) -> AsyncIterator[Attribution]:
    async with running_attribution(redis_url, clickhouse_url, workspace) as running:
        yield running


@pytest.fixture
async def another(
    attribution: Attribution, redis_url: str, clickhouse_url: str, workspace: str
) -> AsyncIterator[Attribution]:
    """Another process."""
    async with running_attribution(redis_url, clickhouse_url, workspace) as running:
        yield running


@pytest.fixture
def make(workspace: str) -> Events:
    return Events(workspace)


@asynccontextmanager
async def being_stored(attribution: Attribution, *events: Admitted) -> AsyncIterator[None]:
    """Handles a batch up to where only its links are left to be forgotten."""
    arrived, goes_on = asyncio.Event(), asyncio.Event()
    ties = attribution.people.ties
    finish = ties.finish

    async def waits(links: Any) -> None:
        arrived.set()
        await goes_on.wait()
        await finish(links)

    with pytest.MonkeyPatch.context() as patching:
        patching.setattr(ties, "finish", waits)
        batch = asyncio.ensure_future(attribution.attributor.handle([entry(attribution.workspace.id, events)]))
        async with asyncio.timeout(60):
            await arrived.wait()
    yield
    goes_on.set()
    await batch


async def newest(attribution: Attribution, make: Events) -> ConversionRevised:
    revised = await attribution.published(make.conversion_id())
    assert revised is not None
    return revised


def causes(revised: ConversionRevised) -> list[str]:
    return [RevisionCause.Name(cause).removeprefix("REVISION_CAUSE_") for cause in revised.causes]


@pytest.mark.parametrize("where", ["here", "elsewhere"])
async def test_who_was_joined_by_the_batch_before_is_joined_by_no_other(
    attribution: Attribution, another: Attribution, make: Events, where: str
) -> None:
    """The browser reports an order, which is all that tells who the visitor is; the backend reports it at once."""
    next_one = attribution if where == "here" else another
    await attribution.handle(make.touch(VISITOR, channel="Email"))
    browser = make.order(CUSTOMER, VISITOR, event_id="browser", rank=1)
    backend = make.order(CUSTOMER, VISITOR, event_id="backend", at=NOON + 1, micros=80_000_000)
    async with being_stored(attribution, browser):
        await next_one.handle(backend)
    revised = await newest(attribution, make)
    assert (causes(revised), list(revised.causing_event_ids)) == (["OBSERVATION_MERGED"], ["backend"])


async def test_whom_another_identifier_joins_meanwhile_is_joined_by_that(
    attribution: Attribution, make: Events
) -> None:
    order = make.order(CUSTOMER, VISITOR, event_id="order")
    await attribution.handle(make.touch(EMAIL, channel="Email", at=NOON - 2 * DAY))
    async with being_stored(attribution, order):
        await attribution.handle(make.identify(CUSTOMER, EMAIL, event_id="login"))
    revised = await newest(attribution, make)
    assert (causes(revised), list(revised.causing_event_ids)) == (["IDENTITY_MERGE"], ["login"])
    assert [touch.source.channel for touch in revised.state.touches] == ["Email"]


@pytest.mark.parametrize("where", ["here", "elsewhere"])
async def test_what_a_batch_left_that_died_is_finished_by_the_next_of_the_person(
    attribution: Attribution, another: Attribution, make: Events, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    next_one = attribution if where == "here" else another
    await attribution.handle(make.touch(VISITOR, channel="Email"), make.order(CUSTOMER))

    async def dies(*_: object) -> None:
        raise OSError("out")

    with monkeypatch.context() as patching:
        patching.setattr(attribution.people.ties, "finish", dies)
        with pytest.raises(OSError, match="out"):
            await attribution.handle(make.identify(CUSTOMER, VISITOR, event_id="login"))
    await next_one.handle(make.touch(CUSTOMER, EMAIL, at=NOON + 3 * DAY))
    assert await links_left(attribution, [CUSTOMER, VISITOR, EMAIL]) == 0
    assert causes(await newest(attribution, make)) == ["IDENTITY_MERGE"]


async def links_left(attribution: Attribution, tokens: Sequence[str]) -> int:
    ties: IdentityTies = attribution.people.ties
    held = await ties.read({(attribution.workspace.id, token) for token in tokens})
    return sum(len(found.links) for found in held.values())


def denying(admitted: Admitted) -> Admitted:
    """Lets an event repeat what the person said long ago, as every event of a consent banner does."""
    leaving(admitted, denies="ad_user_data")
    admitted[1].event.consent.consent_time.CopyFrom(timestamp(NOON - 9 * DAY))
    return admitted


@pytest.mark.parametrize("where", ["here", "elsewhere"])
@pytest.mark.parametrize("is_stored", [True, False], ids=["stored", "being-stored"])
async def test_a_decision_that_was_known_withdraws_nothing(
    attribution: Attribution, another: Attribution, make: Events, where: str, is_stored: bool
) -> None:
    next_one = attribution if where == "here" else another
    browser = denying(make.order(CUSTOMER, VISITOR, event_id="browser", rank=1))
    backend = denying(make.order(CUSTOMER, event_id="backend", at=NOON + 1, micros=80_000_000))
    if is_stored:
        await attribution.handle(browser)
        await next_one.handle(backend)
    else:
        async with being_stored(attribution, browser):
            await next_one.handle(backend)
    assert causes(await newest(attribution, make)) == ["OBSERVATION_MERGED"]
