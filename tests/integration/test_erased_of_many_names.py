"""Somebody of more identifiers than ClickHouse looks for at once is erased like everybody."""

from __future__ import annotations

import pytest

from tests.integration.test_erasure import own
from tests.integration.test_reconciliation import Reconciled
from tests.integration.test_refusals_of_erased import kept, refuse
from tests.support.attribution import DAY, NOON, Events
from tributary_domain.erasures import ErasureState
from tributary_runtime.privacy_settings import ErasureMode

__all__ = ["own"]  # a fixture


@pytest.mark.parametrize("number", [255, 256, 1_020])
async def test_somebody_of_many_identifiers_is_erased(own: Reconciled, workspace: str, number: int) -> None:
    events, attribution = Events(workspace), own.attribution
    tokens = [f"visitor:{one:064x}" for one in range(number)]
    await own.happen(events.touch(tokens[0], at=NOON - DAY, event_id="t"))
    refused = [events.order(tokens[at], order_id=f"o{at}", event_id=f"e{at}", letter="C") for at in (0, 254, -1)]
    theirs = events.order("visitor:other", order_id="o-other", event_id="theirs", letter="C")
    await refuse(attribution, *refused, theirs, accept_micros=NOON)
    erasure = attribution.erasing.plan(workspace, tokens, ErasureMode.SEVER)
    assert (await attribution.erasing.survey(erasure))["refusals"] == 3
    erasure = await attribution.erasing.go_on(await attribution.erasing.request(erasure))
    assert (erasure.state, any(erasure.remaining.values())) == (ErasureState.DESTROYED, False)
    assert await kept(attribution) == {"theirs"}
