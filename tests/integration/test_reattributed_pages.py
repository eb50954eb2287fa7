"""Conversions and those that follow them are moved page by page: once each, wherever a page ends and a run stops."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from tests.integration.test_models import LITTLE, learn
from tests.support.attribution import DAY, NOON, Attribution, Events, running_attribution
from tests.support.families import Families
from tributary.attribution.v1.conversion_pb2 import RevisionCause
from tributary.attribution.v1.reattribution_pb2 import ModelChoice
from tributary_runtime.errors import StorageUnavailableError
from tributary_storage.clickhouse.published_conversions import START, Wanted
from tributary_storage.redis.conversions import Conversions, Publication

RENEWALS = 5
TWO = 3
"""A page of two conversions, and whether there are more."""


class Stopping(Conversions):
    """Stops before, or after, one of the steps that publish."""

    left = -1

    def _step(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise StorageUnavailableError("stopped")

    async def publish(self, publications: Sequence[Publication]) -> Any:
        self._step()
        answers = await super().publish(publications)
        self._step()
        return answers

    async def emit(self, revisions: Any) -> Any:
        self._step()
        answers = await super().emit(revisions)
        self._step()
        return answers


@pytest.fixture
async def attribution(redis_url: str, clickhouse_url: str, workspace: str) -> AsyncIterator[Attribution]:
    running = running_attribution(redis_url, clickhouse_url, workspace, conversions_as=Stopping, **LITTLE)
    async with running as opened:
        yield opened


async def subscribed(attribution: Attribution) -> list[str]:
    """Returns the first payment of a subscription, and its renewals."""
    families = Families(Events(attribution.workspace.id))
    make = families.events
    paid = [families.cycle("visitor:b", kind="FIRST", cycle="1", name="purchase")]
    paid += [
        families.cycle("visitor:b", kind="RENEWAL", cycle=str(number), name="purchase", at=NOON + number * DAY)
        for number in range(2, 2 + RENEWALS)
    ]
    await attribution.handle(make.touch("visitor:b", channel="Email"), *paid)
    return [event.conversion_id for _, event in paid]


async def move(attribution: Attribution, version: str) -> int:
    """Moves all to a model, page by page; returns how many pages it took."""
    pages, after = 0, START
    while True:
        span = {"start_micros": NOON - 1, "end_micros": NOON + 20 * DAY}
        wanted = Wanted(workspace=attribution.workspace.id, after=after, limit=TWO, **span)
        _, last = await attribution.reattribution.apply(wanted, ModelChoice(version=version))
        pages += 1
        if last is None:
            return pages
        after = last


async def chains(attribution: Attribution, conversions: list[str]) -> list[list[tuple[str, tuple[int, ...]]]]:
    """Returns model and causes of each revision in the log, oldest first; checks that ClickHouse has the same."""
    found = []
    for one in conversions:
        assert await attribution.published(one) is not None
        revisions = {revised.revision: revised for revised in await attribution.logged() if _is_of(revised, one)}
        assert await attribution.stored_revisions(one) == sorted(revisions)
        ordered = [revisions[number] for number in sorted(revisions)]
        found.append([(_model(revised), tuple(revised.causes)) for revised in ordered])
    return found


def _is_of(revised: Any, conversion_id: str) -> bool:
    return bool(revised.state.conversion_id == conversion_id)


def _model(revised: Any) -> str:
    return next((one.model_version for one in revised.state.models if one.name == "data_driven"), "")


async def test_followers_on_other_pages_are_moved_once_each_whatever_step_it_stops_at(attribution: Attribution) -> None:
    conversions = await subscribed(attribution)
    first = await learn(attribution)
    second = await learn(attribution, [(["Referral", "Display"], True), (["Email", "Email", "Display"], False)])
    assert isinstance(attribution.conversions, Stopping)
    moved = (RevisionCause.REVISION_CAUSE_MODEL_CHANGE,)
    expected = [len(chain) for chain in await chains(attribution, conversions)]
    versions = [first.version, second.version]
    stops = 0
    while True:
        version = versions[stops % 2]
        attribution.conversions.left = stops + 1
        stopped = False
        try:
            pages = await move(attribution, version)
        except StorageUnavailableError:
            stopped = True
            attribution.conversions.left = -1
            pages = await move(attribution, version)
        assert pages >= RENEWALS // 2
        found = await chains(attribution, conversions)
        expected = [number + 1 for number in expected]
        assert [len(chain) for chain in found] == expected, f"stopped at step {stops + 1}"
        assert {chain[-1] for chain in found} == {(version, moved)}
        if not stopped:
            break
        stops += 1
    assert stops >= 4, "before and after each of the steps"
