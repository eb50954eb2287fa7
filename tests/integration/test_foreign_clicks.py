"""Whether it is the click or the account that is wrong, all replicas of delivery tell together."""

from __future__ import annotations

from itertools import cycle

import pytest

from tests.support.batches import a_batch_destination
from tributary_delivery.destinations.destination import CONFIG, OK, PERMANENT, RETRY, Outcome
from tributary_delivery.foreign_clicks import FOREIGN_IN_A_ROW, ForeignClicks
from tributary_storage.redis.client import connect
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.destination_states import DestinationStates

TAKEN, WRONG, LATER = Outcome(OK, 200), Outcome(PERMANENT, 200), Outcome(RETRY, 200)
FOREIGN = Outcome(PERMANENT, 200, "INVALID_CUSTOMER_FOR_CLICK", is_untaken=True, is_foreign=True)
MANY = FOREIGN_IN_A_ROW
URL = "https://ads.example"


@pytest.mark.parametrize(
    ("calls", "last"),
    [
        pytest.param([[FOREIGN]], [CONFIG], id="the first answer"),
        pytest.param([[FOREIGN]] * 3, [CONFIG], id="nothing was ever taken"),
        pytest.param([[WRONG, LATER], [FOREIGN]], [CONFIG], id="others were refused before"),
        pytest.param([[TAKEN, FOREIGN]], [OK, PERMANENT], id="one was taken beside the first"),
        pytest.param([[FOREIGN], [TAKEN], [FOREIGN]], [PERMANENT], id="one was taken since the first"),
        pytest.param([[TAKEN], [FOREIGN] * (MANY - 1)], [PERMANENT] * (MANY - 1), id="one less than many"),
        pytest.param([[TAKEN], [FOREIGN] * MANY], [CONFIG] * MANY, id="many in one request"),
        pytest.param([[TAKEN], *[[FOREIGN]] * (MANY - 1)], [PERMANENT], id="one less than many, one by one"),
        pytest.param([[TAKEN], *[[FOREIGN]] * MANY], [CONFIG], id="many one by one"),
        pytest.param([[TAKEN], [FOREIGN] * MANY, [TAKEN, FOREIGN]], [OK, PERMANENT], id="one was taken beside it"),
        pytest.param([[TAKEN], [FOREIGN] * MANY, [TAKEN], [FOREIGN]], [PERMANENT], id="one was taken between"),
        pytest.param([[TAKEN], [FOREIGN] * (MANY - 1), [WRONG, LATER], [FOREIGN]], [CONFIG], id="others were refused"),
        pytest.param(
            [[TAKEN], [FOREIGN] * MANY, [WRONG, FOREIGN]], [PERMANENT, CONFIG], id="of others it says nothing"
        ),
    ],
)
async def test_replicas_count_together_what_is_in_a_row(
    redis_url: str, workspace: str, calls: list[list[Outcome]], last: list[int]
) -> None:
    lane, settings = Lane(workspace, "google-ads"), a_batch_destination("google_ads", URL)
    async with connect(redis_url, name="test") as one, connect(redis_url, name="test") as other:
        replicas = [ForeignClicks(lane, settings, DestinationStates(client)) for client in (one, other)]
        judged = [await replica.judge(call) for replica, call in zip(cycle(replicas), calls, strict=False)]
    assert [one.outcome for one in judged[-1]] == last


async def test_an_account_is_judged_by_what_it_took_itself_and_no_end_of_a_pause_forgets(
    redis_url: str, workspace: str
) -> None:
    lane = Lane(workspace, "google-ads")
    async with connect(redis_url, name="test") as client:
        states = DestinationStates(client)

        async def told(account: str, call: list[Outcome]) -> int:
            settings = a_batch_destination("google_ads", URL, customer_id=account)
            return (await ForeignClicks(lane, settings, states).judge(call))[-1].outcome

        assert [await told("1", [TAKEN]), await told("1", [FOREIGN] * (MANY - 1))] == [OK, PERMANENT]
        assert await told("2", [FOREIGN]) == CONFIG
        await states.mend(lane, "others")
        await states.release(lane)
        assert await told("1", [FOREIGN]) == CONFIG
        assert [await told("2", [TAKEN]), await told("2", [FOREIGN])] == [OK, PERMANENT]


@pytest.mark.parametrize(
    ("before", "account", "told"),
    [
        pytest.param(OK, "1", [PERMANENT] * (MANY - 1) + [CONFIG] * 2, id="it was taken"),
        pytest.param(PERMANENT, "1", [CONFIG] * (MANY + 1), id="it was refused"),
        pytest.param(RETRY, "1", [CONFIG] * (MANY + 1), id="nobody knows"),
        pytest.param(OK, "2", [CONFIG] * (MANY + 1), id="it was taken, another account is known"),
    ],
)
async def test_what_was_taken_before_accounts_were_kept_was_under_this_one(
    redis_url: str, workspace: str, before: int, account: str, told: list[int]
) -> None:
    lane, settings = Lane(workspace, "google-ads"), a_batch_destination("google_ads", URL, customer_id="1")
    async with connect(redis_url, name="test") as client:
        states = DestinationStates(client)
        if account != settings.account:
            await states.took(lane, account)
        await states.note(lane, before, 1)
        foreign = ForeignClicks(lane, settings, states)
        judged = []
        for _ in range(MANY + 1):
            [one] = await foreign.judge([FOREIGN])
            await states.note(lane, one.outcome, 2)
            judged.append(one.outcome)
    assert judged == told


async def test_while_nobody_can_tell_it_is_asked_again(workspace: str) -> None:
    lane, settings = Lane(workspace, "google-ads"), a_batch_destination("google_ads", URL)
    async with connect("redis://127.0.0.1:1/0", name="test") as nobody:
        foreign = ForeignClicks(lane, settings, DestinationStates(nobody))
        assert await foreign.judge([TAKEN, FOREIGN]) == [TAKEN, FOREIGN]
        [wrong, again] = await foreign.judge([WRONG, FOREIGN])
    assert (wrong, again.outcome, again.is_untaken) == (WRONG, RETRY, True)
