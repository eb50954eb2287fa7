"""Whoever asks for an erasure is told of the identifiers that the person's events name and that stay."""

from __future__ import annotations

import pytest

from tests.integration.test_erasure import own
from tests.integration.test_reconciliation import Reconciled
from tests.support.attribution import DAY, NOON, Events
from tributary_runtime.privacy_settings import ErasureMode

__all__ = ["own"]  # a fixture

KAY = "customer:kay"


@pytest.mark.parametrize("mode", list(ErasureMode))
async def test_identifiers_beyond_those_that_one_person_may_have_are_told(
    own: Reconciled, workspace: str, mode: ErasureMode
) -> None:
    make, attribution = Events(workspace), own.attribution
    visitors = [f"visitor:{number}" for number in range(8)]
    for number, visitor in enumerate(visitors):
        at = NOON - (10 - number) * DAY
        await own.happen(make.touch(visitor, at=at), make.identify(KAY, visitor, at=at + 1))
    await own.happen(make.order(KAY, visitors[-1]), make.order("customer:lee", visitors[0], order_id="lees"))
    people = await attribution.people.people_of({(workspace, KAY)})
    [tokens] = {one.tokens for one in people.values()}
    assert len(tokens) == 6, "the customer, and five of the visitors"
    plan = attribution.erasing.plan(workspace, tokens, mode)
    assert (await attribution.erasing.survey(plan))["unlinked_identifiers"] == 3
    await attribution.erasing.go_on(await attribution.erasing.request(plan))
    assert not any((await attribution.erasing.survey(plan)).values())
