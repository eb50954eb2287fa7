"""What data_driven learned of a person goes with them: of the path that led nowhere, and of orders that are removed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest

from tests.integration.test_rebuild import LEARNING, bring_back, happen, lose_all
from tests.support.attribution import DAY, NOON, Admitted, Attribution, Events, running_attribution
from tributary_domain.data_driven import DataDrivenModel, Floor, fit
from tributary_domain.path_counts import PathCounts, counts_of, total
from tributary_runtime.privacy_settings import ErasureMode

BUYER, LOOKER = "visitor:buyer", "visitor:looker"
OTHERS = [(["Email", "Display"], True), (["Email"], True), (["Email"], False), (["Display"], False)]
OF_BUYER, OF_LOOKER = (["SMS", "Email"], True), (["Referral", "SMS"], False)


@pytest.fixture
async def attribution(redis_url: str, clickhouse_url: str, workspace: str) -> AsyncIterator[Attribution]:
    async with running_attribution(redis_url, clickhouse_url, workspace, **LEARNING) as running:
        yield running


def walked(make: Events, person: str, path: Sequence[str], *, converted: bool) -> list[Admitted]:
    touches = [make.touch(person, at=NOON - DAY + step, channel=channel) for step, channel in enumerate(path)]
    return [*touches, *([make.order(person, order_id=person)] if converted else [])]


def at_once(*paths: tuple[Sequence[str], bool]) -> PathCounts:
    return total((counts_of(path, converted=converted), 1) for path, converted in paths)


async def live(attribution: Attribution) -> Events:
    """Lets others walk their paths, one of them to a conversion of another name."""
    make = Events(attribution.workspace.id)
    for number, (path, converted) in enumerate(OTHERS):
        await happen(attribution, *walked(make, f"visitor:{number}", path, converted=converted))
    await happen(attribution, make.touch("visitor:lead", channel="Email"), a_lead(make, "visitor:lead"))
    return make


def a_lead(make: Events, person: str) -> Admitted:
    lead = make.order(person, order_id=f"lead {person}")
    lead[1].event.conversion.name = "lead"
    return lead


async def erased(attribution: Attribution, person: str, mode: ErasureMode) -> None:
    """Erases a person, by a run that stops once paths are taken back, and by two that do not."""
    erasing = attribution.erasing
    going = await erasing.request(erasing.plan(attribution.workspace.id, [person], mode))
    for step in erasing.steps():
        going = await step(going)
        if step == erasing._forget:
            break
    for _ in range(2):
        [going] = [one for one in await attribution.erasures.opened() if one.erasure_id == going.erasure_id]
        await erasing.go_on(going)


@pytest.mark.parametrize("mode", list(ErasureMode))
async def test_who_is_erased_is_unlearned_once_and_batch_says_the_same(
    attribution: Attribution, mode: ErasureMode
) -> None:
    make = await live(attribution)
    before = await attribution.count_people()
    [model, _] = await attribution.learn()
    await happen(attribution, *walked(make, BUYER, *OF_BUYER[:1], converted=True))
    await happen(attribution, *walked(make, LOOKER, *OF_LOOKER[:1], converted=False))
    assert (await attribution.count_people())["purchase"] == at_once(*OTHERS, (["Email"], False), OF_BUYER, OF_LOOKER)
    for person in (BUYER, LOOKER):
        await erased(attribution, person, mode)
    counts = await attribution.count_people()
    if mode is ErasureMode.REMOVE:
        assert counts == before
        assert [one.version for one in await attribution.learn()][:1] in ([], [model.version])
    else:
        assert counts["lead"] == before["lead"], "the path that led nowhere, of whoever bought something else, too"
        stays = at_once(*OTHERS, (["Email"], False), OF_BUYER)
        assert counts["purchase"] == stays, "the order stays, and what led to it"
        learned, expected = fit(counts["purchase"], floor=Floor(1, 1)), fit(stays, floor=Floor(1, 1))
        assert isinstance(learned, DataDrivenModel)
        assert isinstance(expected, DataDrivenModel)
        assert learned.removal_effects == pytest.approx(expected.removal_effects, abs=1e-9)
    await lose_all(attribution)
    assert (await bring_back(attribution)).is_finished
    assert await attribution.count_people() == counts


async def test_what_is_left_under_the_identifier_since_is_counted_as_somebody_new(attribution: Attribution) -> None:
    make = await live(attribution)
    await happen(attribution, *walked(make, LOOKER, *OF_LOOKER[:1], converted=False))
    plan = attribution.erasing.plan(attribution.workspace.id, [LOOKER])
    erasure = await attribution.erasing.request(plan)
    await attribution.erasing.go_on(erasure)
    later = plan.until_micros + DAY
    await happen(attribution, make.touch(LOOKER, at=later, channel="Display", event_id="since"))
    expected = at_once(*OTHERS, (["Email"], False), (["Display"], False))
    assert (await attribution.count_people())["purchase"] == expected
    [again] = await attribution.erasures.opened()
    await attribution.erasing.go_on(again)
    assert (await attribution.count_people())["purchase"] == expected
    await happen(attribution, make.touch(LOOKER, at=later + 1, channel="SMS", event_id="then"))
    expected = at_once(*OTHERS, (["Email"], False), (["Display", "SMS"], False))
    assert (await attribution.count_people())["purchase"] == expected


async def test_who_is_looked_at_while_they_are_erased_is_not_counted_after_it(attribution: Attribution) -> None:
    make = await live(attribution)
    before = await attribution.count_people()
    looked = walked(make, LOOKER, *OF_LOOKER[:1], converted=False)
    await attribution.record(*looked)
    await attribution.handle(*looked)
    [held] = await attribution.paths.take(10)
    await attribution.erasing.go_on(
        await attribution.erasing.request(attribution.erasing.plan(attribution.workspace.id, [LOOKER]))
    )
    await attribution.paths.count([(held, b'[["Referral","SMS"],[]]')], 60)
    assert await attribution.count_people() == before
