"""A destination is tried out: nothing is counted there, and what is wrong is named with what to do about it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.batches import BATCHES, TOKEN, FakeTokens, a_batch_destination, oauth, running_fake
from tests.support.delivery import a_destination
from tests.support.destinations import SECRET, Answer, running_endpoint
from tests.support.ports import free_port
from tributary.delivery.v1 import delivery_service_pb2
from tributary.delivery.v1.delivery_service_pb2 import (
    DESTINATION_TEST_RESULT_FAILED,
    DESTINATION_TEST_RESULT_PASSED,
    DestinationTestStage,
)
from tributary_cli.demo.fakes.fake import Ask, Reply
from tributary_cli.demo.fakes.server import FakeServer, Fault
from tributary_delivery.destinations.adapter import Home
from tributary_delivery.key_consents import KeyConsents
from tributary_delivery.lead_objects import NameStores
from tributary_delivery.match_keys import MatchKeyOpener
from tributary_delivery.permissions import Permissions
from tributary_delivery.senders import Senders
from tributary_delivery.trial_runs import DestinationTests
from tributary_domain.consent import Assumed
from tributary_runtime.clock import SystemClock
from tributary_runtime.destination_settings import DestinationSettings
from tributary_storage.clickhouse.conversion_history import ConversionHistory
from tributary_storage.clickhouse.past_families import PastFamilies
from tributary_storage.redis.client import connect
from tributary_storage.redis.consents import Consents
from tributary_storage.redis.data_keys import DataKeys
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.destination_states import DestinationStates
from tributary_storage.redis.first_claims import FirstClaims
from tributary_storage.redis.people import People

WITH_TEST_VIEW = ("meta", "reddit", "tiktok")
Answered = delivery_service_pb2.TestDestinationResponse  # pytest would take its own name for that of tests
LANE = Lane("shop", "tried")


@pytest.fixture
async def states(redis_url: str) -> AsyncIterator[DestinationStates]:
    async with connect(redis_url, name="test") as client:
        yield DestinationStates(client)


async def tried(states: DestinationStates, settings: DestinationSettings, code: str = "") -> Answered:
    opener = MatchKeyOpener(DataKeys(states._client, 4), lambda _: ())
    names = NameStores(FirstClaims(states._client), PastFamilies(None), lambda _: b"")  # type: ignore[arg-type]
    people, consents = People(states._client, 4), Consents(states._client, 4)
    asks = KeyConsents(Permissions(people, consents, lambda _: Assumed()), lambda _: None)
    senders = Senders(opener, asks, ConversionHistory(None), names, lambda _: Home(), SystemClock(), 2.0)  # type: ignore[arg-type]
    return await DestinationTests(senders, states, SystemClock()).test(LANE, settings, code)


def failed(answer: Answered) -> tuple[str, str]:
    """Returns the one step that failed, and what it says; all before it passed and none after it was tried."""
    results = [step.result for step in answer.steps]
    place = results.index(DESTINATION_TEST_RESULT_FAILED)
    assert results[:place] == [DESTINATION_TEST_RESULT_PASSED] * place
    assert not {DESTINATION_TEST_RESULT_FAILED, DESTINATION_TEST_RESULT_PASSED} & set(results[place + 1 :])
    assert answer.next_step
    assert not answer.passed
    step = answer.steps[place]
    return DestinationTestStage.Name(step.stage).removeprefix("DESTINATION_TEST_STAGE_"), step.message


@pytest.mark.parametrize(
    ("kind", "code"), [*((kind, "") for kind in BATCHES), *((kind, "TEST4711") for kind in WITH_TEST_VIEW)]
)
async def test_a_destination_that_works_passes_and_counts_nothing(
    states: DestinationStates, kind: str, code: str
) -> None:
    with running_fake(kind) as server:
        answer = await tried(states, a_batch_destination(kind, server.url), code)
    assert (answer.passed, answer.next_step) == (True, ""), answer
    assert [step.result for step in answer.steps] == [DESTINATION_TEST_RESULT_PASSED] * 5
    assert (server.fake.accepted, server.fake.requests) == (0, 1)
    assert code.encode() in server.asks[0].body


@pytest.mark.parametrize("kind", BATCHES)
async def test_a_credential_that_the_destination_does_not_know_fails_at_the_answer_and_is_not_shown(
    states: DestinationStates, kind: str
) -> None:
    with running_fake(kind) as server:
        server.fake.token = "another token"
        answer = await tried(states, a_batch_destination(kind, server.url))
    stage, message = failed(answer)
    assert stage == "ANSWER"
    assert message
    assert "credential" in answer.next_step
    assert TOKEN not in str(answer)
    assert "developer" not in str(answer)


@pytest.mark.parametrize("kind", ["google", "linkedin", "microsoft", "snap"])
async def test_a_destination_that_takes_whatever_comes_proves_nothing_where_a_refusal_was_due(
    states: DestinationStates, kind: str
) -> None:
    with running_fake(kind) as server:
        body = {"requestId": "r", "elements": [{"status": 201}], "PartialErrors": [], "status": "VALID"}
        server.faults.append(Fault(takes=False, reply=Reply(200, body)))
        answer = await tried(states, a_batch_destination(kind, server.url))
    assert answer.passed == (kind in {"google", "snap"})


async def test_a_destination_that_cannot_be_reached_is_told_apart_from_one_that_refuses(
    states: DestinationStates,
) -> None:
    answer = await tried(states, a_batch_destination("meta", f"http://127.0.0.1:{free_port()}"))
    assert failed(answer)[0] == "REACHED"
    assert TOKEN not in str(answer)


async def test_a_refresh_token_that_was_revoked_fails_at_the_token(states: DestinationStates) -> None:
    with running_fake("google") as server, FakeServer(FakeTokens(TOKEN)) as tokens:
        good = await tried(states, a_batch_destination("google", server.url, **oauth(tokens.url)))
        answer = await tried(states, a_batch_destination("google", server.url, **oauth(tokens.url, "revoked")))
    assert good.passed
    assert failed(answer)[0] == "TOKEN"
    assert "revoked" not in str(answer)
    assert "its-secret" not in str(answer)


async def test_a_token_that_is_refused_and_cannot_be_renewed_says_what_to_renew(states: DestinationStates) -> None:
    class Revoked(FakeTokens):
        """Revoked since it gave out the token that is kept."""

        expires_at_once = True

        def take(self, ask: Ask) -> Reply:
            reply = super().take(ask)
            self.holds = ""
            return reply

    with running_fake("google") as server, FakeServer(Revoked(TOKEN)) as tokens:
        own = {**oauth(tokens.url), "quota": {"requests_per_minute": 60}}
        answer = await tried(states, a_batch_destination("google", server.url, **own))
    stage, said = failed(answer)
    assert (stage, "invalid_grant" in said) == ("ANSWER", True)
    assert "refresh_token" in answer.next_step


@pytest.mark.parametrize(("per_minute", "calls"), [(4, 1), (8, 2)], ids=["no room", "room"])
async def test_a_second_call_with_another_token_takes_its_own_from_the_quota(
    states: DestinationStates, per_minute: int, calls: int
) -> None:
    with running_fake("google") as server, FakeServer(FakeTokens(TOKEN)) as tokens:
        assert isinstance(tokens.fake, FakeTokens)
        tokens.fake.expires_at_once = True
        own = {**oauth(tokens.url), "quota": {"requests_per_minute": per_minute}}
        answer = await tried(states, a_batch_destination("google", server.url, **own))
        assert (len(server.asks), answer.passed) == (calls, calls == 2)


@pytest.mark.parametrize(
    ("kind", "own", "stage", "said"),
    [
        pytest.param("meta", {"page_url": ""}, "SETTINGS", "event_source_url", id="what every event would lack"),
        pytest.param("google", {"conversions": {}}, "SETTINGS", "mapped", id="nothing is mapped"),
        pytest.param("meta", {"access_token": {"value": "tok\nen"}}, "CREDENTIAL", "access_token", id="line break"),
    ],
)
async def test_what_is_wrong_before_any_call_is_found_without_one(
    states: DestinationStates, kind: str, own: dict[str, Any], stage: str, said: str
) -> None:
    with running_fake(kind) as server:
        found = failed(await tried(states, a_batch_destination(kind, server.url, **own)))
    assert found[0] == stage
    assert said in found[1]
    assert server.asks == []


async def test_a_property_that_cannot_tell_objects_apart_is_found(states: DestinationStates) -> None:
    with running_fake("hubspot") as server:
        server.fake.is_unique = False  # type: ignore[attr-defined]
        assert "hasUniqueValue" in failed(await tried(states, a_batch_destination("hubspot", server.url)))[1]


async def test_the_call_is_within_the_quota_and_a_paused_destination_is_tried_all_the_same(
    states: DestinationStates,
) -> None:
    with running_fake("snap") as server:
        settings = a_batch_destination("snap", server.url, quota={"requests_per_minute": 1}, paused=True)
        assert (await tried(states, settings)).passed
        stage, message = failed(await tried(states, settings))
    assert (stage, len(server.asks)) == ("REACHED", 1)
    assert "quota" in message


async def test_a_webhook_gets_a_signed_message_that_is_no_conversion(states: DestinationStates) -> None:
    async with running_endpoint() as endpoint:
        assert (await tried(states, a_destination(endpoint.url))).passed
        assert (await tried(states, a_destination(endpoint.url))).passed, "an id of its own each time"
        assert (endpoint.bad_signatures, len(endpoint.effects), endpoint.created) == (0, 2, {})
        [first, _] = endpoint.calls
        assert first.message["type"] == "destination.test"
        assert first.data == {"destination_id": "crm"}
        endpoint.usual = Answer(410)
        answer = await tried(states, a_destination(endpoint.url))
    assert failed(answer)[0] == "ANSWER"
    assert SECRET not in str(answer)
