"""Tokens are verified over real HTTP; a provider that is down, slow or wrong makes nobody guilty."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest
import redis.asyncio

from tests.support.eventually import eventually_async
from tests.support.human_checks import SECRET, FakeProvider, running_provider
from tests.support.ports import free_port
from tests.support.stores import running_redis
from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary.event.v1 import verdict_pb2
from tributary.event.v1.event_pb2 import Event
from tributary_domain.human_check import Checked, HumanVerdict, Provider
from tributary_ingestion import shared_checks
from tributary_ingestion.fraud import Fraud
from tributary_ingestion.human_checks import AT_ONCE, HumanChecks, Token, Verifier
from tributary_ingestion.intake import take_all
from tributary_ingestion.packed import Packed
from tributary_ingestion.workspace_rules import WorkspaceRules, compile_rules
from tributary_runtime.clock import SystemClock
from tributary_runtime.workspaces import Workspace
from tributary_storage.redis.client import connect
from tributary_storage.redis.human_verdicts import LIFE_SECONDS, HumanVerdicts
from tributary_storage.redis.velocity import Velocity

NOW = 1_795_000_000_000_000
BROWSER = "Mozilla/5.0 (X11; Linux x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
HUMAN, BOT, UNKNOWN = HumanVerdict.HUMAN, HumanVerdict.BOT, HumanVerdict.UNKNOWN
ACCEPTED, QUARANTINED = verdict_pb2.VERDICT_ACCEPTED, verdict_pb2.VERDICT_QUARANTINED
PATIENCE_SECONDS = 30.0
"""How long is waited for who answers, however busy the machine is."""


class HandClock(SystemClock):
    """Runs on when it is told to."""

    later_seconds = 0.0

    def monotonic_seconds(self) -> float:
        return super().monotonic_seconds() + self.later_seconds


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with running_provider() as running:
        yield running


@pytest.fixture
async def checks() -> AsyncIterator[HumanChecks]:
    async with aclosing(HumanChecks(SystemClock())) as opened:
        yield opened


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_checks, "_ANSWER_SECONDS", 2.0)  # a quarter of that is too little on a busy machine
    monkeypatch.setattr(shared_checks, "_PROBE_ANSWER_SECONDS", PATIENCE_SECONDS)


def verifiers(provider: FakeProvider, **own: float) -> dict[Provider, Verifier]:
    own = {"timeout_seconds": PATIENCE_SECONDS, **own}
    return {
        kind: Verifier(kind, provider.endpoint, SECRET, allow_private_addresses=True, **own)  # type: ignore[arg-type]
        for kind in Provider
    }


def token(text: str, provider: Provider | None = Provider.TURNSTILE, ip: str = "", *, is_late: bool = False) -> Token:
    return Token(provider, text, ip, is_late)


@pytest.mark.parametrize("kind", list(Provider))
async def test_a_token_is_verified_as_its_provider_wants_it(
    kind: Provider, provider: FakeProvider, checks: HumanChecks
) -> None:
    found = await checks.verify(
        [token("good-1", kind, "203.0.113.7"), token("bad", kind), token("good-2", kind)], verifiers(provider)
    )
    assert [one.verdict for one in found] == [HUMAN, BOT, HUMAN]
    assert {"secret": SECRET, "response": "good-1", "remoteip": "203.0.113.7"} in provider.forms
    assert {"secret": SECRET, "response": "good-2"} in provider.forms


async def test_a_token_is_asked_for_once_by_all_who_carry_it(provider: FakeProvider, checks: HumanChecks) -> None:
    own = verifiers(provider)
    at_once = await checks.verify([token("good")] * 5, own)
    later = await checks.verify([token("good")], own)
    assert [one.verdict for one in at_once + later] == [HUMAN] * 6, "a second question would answer: duplicate"
    assert len(provider.forms) == 1


async def test_a_token_that_another_has_spent_is_refused_unless_it_expired_on_the_way(
    provider: FakeProvider, checks: HumanChecks
) -> None:
    provider.used |= {"good-1", "good-2"}
    found = await checks.verify([token("good-1"), token("good-2", is_late=True)], verifiers(provider))
    assert [one.verdict for one in found] == [BOT, UNKNOWN]


async def test_replicas_ask_for_a_token_once(provider: FakeProvider, migrated_redis_url: str) -> None:
    provider.scores["good"] = 0.9
    own = verifiers(provider)
    async with (
        connect(migrated_redis_url, name="test") as client,
        aclosing(HumanChecks(SystemClock(), shared=HumanVerdicts(client))) as one,
        aclosing(HumanChecks(SystemClock(), shared=HumanVerdicts(client))) as other,
    ):
        assert await one.verify([token("good"), token("bad")], own) == [Checked(HUMAN, 90), Checked(BOT)]
        assert await other.verify([token("good"), token("bad")], own) == [Checked(HUMAN, 90), Checked(BOT)]
        assert len(provider.forms) == 2, "the second question would have been answered: duplicate"
        assert not [key async for key in client.scan_iter("*good*")]


async def test_a_token_vouches_for_a_few_whichever_replica_they_come_to_and_for_their_retries(
    provider: FakeProvider, migrated_redis_url: str
) -> None:
    own = verifiers(provider, carriers_per_token=3)

    def carried(*orders: str) -> list[Token]:
        return [token("good")._replace(carrier=order.encode()) for order in orders]

    async with (
        connect(migrated_redis_url, name="test") as client,
        aclosing(HumanChecks(SystemClock(), shared=HumanVerdicts(client))) as one,
        aclosing(HumanChecks(SystemClock(), shared=HumanVerdicts(client))) as other,
    ):
        for checks, order in ((one, "a"), (other, "b"), (one, "a"), (one, "c"), (other, "a")):
            assert (await checks.verify(carried(order), own))[0].verdict is HUMAN, order
        for checks in (one, other):
            found = await checks.verify(carried("d", "a", "b", "e", "c"), own)
            assert [each.verdict for each in found] == [UNKNOWN, HUMAN, HUMAN, UNKNOWN, HUMAN]
            assert found[0].fault == "reused"
        assert len(provider.forms) == 1
        (kept,) = [key async for key in client.scan_iter("*:carriers")]
        assert await client.scard(kept) == 3, "who replays a token must not fill the store"


@pytest.mark.parametrize("is_shared", [True, False], ids=["late", "replicas cannot tell each other"])
async def test_a_token_that_is_spent_through_nobodys_fault_passes_for_no_more_than_a_solved_one(
    provider: FakeProvider, migrated_redis_url: str, *, is_shared: bool
) -> None:
    provider.used.add("good")
    own = verifiers(provider, carriers_per_token=3)
    url = migrated_redis_url if is_shared else f"redis://127.0.0.1:{free_port()}"
    async with (
        connect(url, name="test") as client,
        aclosing(HumanChecks(SystemClock(), shared=HumanVerdicts(client))) as checks,
    ):
        tokens = [token("good", is_late=is_shared)._replace(carrier=order.encode()) for order in "abcde"]
        found = await checks.verify(tokens, own)  # at once: which three come first is not said
        fault = "late" if is_shared else "spent here"
        assert {one.verdict for one in found} == {UNKNOWN}
        assert sorted(one.fault for one in found) == sorted([fault] * 3 + ["reused"] * 2)
        assert await checks.verify(tokens, own) == found, "sent again, they are the same orders"


async def test_what_is_no_conversion_uses_nothing_of_a_token_up(
    provider: FakeProvider, migrated_redis_url: str
) -> None:
    own = verifiers(provider, carriers_per_token=1)
    async with (
        connect(migrated_redis_url, name="test") as client,
        aclosing(HumanChecks(SystemClock(), shared=HumanVerdicts(client))) as one,
        aclosing(HumanChecks(SystemClock(), shared=HumanVerdicts(client))) as other,
    ):
        order, another = (token("good")._replace(carrier=order) for order in (b"a", b"b"))
        for checks, carried, verdict in ((one, token("good"), HUMAN), (other, order, HUMAN), (one, another, UNKNOWN)):
            assert (await checks.verify([carried], own))[0].verdict is verdict
        assert (await one.verify([token("good")], own))[0].verdict is HUMAN


async def test_a_replica_alone_counts_who_carries_a_token_too(provider: FakeProvider, checks: HumanChecks) -> None:
    tokens = [token("good", ip=f"203.0.113.{number}")._replace(carrier=bytes([number])) for number in range(200)]
    found = await checks.verify(tokens, verifiers(provider))
    assert [one.verdict for one in found].count(HUMAN) == 3


async def test_a_token_that_was_spent_for_an_answer_that_came_too_late_makes_nobody_guilty(
    provider: FakeProvider, migrated_redis_url: str
) -> None:
    async with (
        connect(migrated_redis_url, name="test") as client,
        aclosing(HumanChecks(SystemClock(), shared=HumanVerdicts(client))) as one,
        aclosing(HumanChecks(SystemClock(), shared=HumanVerdicts(client))) as other,
    ):
        await one.verify([token("bad")], verifiers(provider))  # connects
        provider.release.clear()
        late = asyncio.create_task(one.verify([token("good")], verifiers(provider, timeout_seconds=0.5)))
        await eventually_async(lambda: len(provider.forms) == 2)
        assert (await late)[0].verdict is UNKNOWN
        provider.release.set()
        await eventually_async(lambda: "good" in provider.used)
        for checks in (one, other):
            (again,) = await checks.verify([token("good")], verifiers(provider))
            assert (again.verdict, again.fault) == (UNKNOWN, "spent here")


async def test_a_store_of_what_replicas_know_that_is_gone_changes_nothing(provider: FakeProvider) -> None:
    async with (
        connect(f"redis://127.0.0.1:{free_port()}", name="test") as nobody,
        aclosing(HumanChecks(SystemClock(), shared=HumanVerdicts(nobody))) as checks,
    ):
        found = await checks.verify([token("good"), token("bad")], verifiers(provider))
    assert [one.verdict for one in found] == [HUMAN, BOT]


async def test_a_token_that_another_may_have_spent_while_replicas_could_not_tell_each_other_makes_nobody_guilty(
    provider: FakeProvider, tmp_path: Path
) -> None:
    own, clock = verifiers(provider), HandClock()
    with running_redis(tmp_path) as server:
        async with (
            connect(f"redis://127.0.0.1:{free_port()}", name="test") as nobody,
            connect(server.url, name="test") as client,
            aclosing(HumanChecks(SystemClock(), shared=HumanVerdicts(nobody))) as one,
            aclosing(HumanChecks(clock, shared=HumanVerdicts(client))) as other,
        ):
            found = await one.verify([token("good-1"), token("good-2")], own)
            assert [each.verdict for each in found] == [HUMAN, HUMAN]
            os.kill(server.pid, signal.SIGSTOP)
            try:
                found = await other.verify([token("good-1"), token("bad")], own)
            finally:
                os.kill(server.pid, signal.SIGCONT)
            assert [each.verdict for each in found] == [UNKNOWN, BOT], "nobody has spent what never was a token"
            clock.later_seconds = 11
            (again,) = await other.verify([token("good-2")], own)
            assert again.verdict is UNKNOWN, "the store answers again, but was told nothing"
            assert await client.exists(*[key async for key in client.scan_iter("*")]), "it was asked"
            provider.used.add("good-3")
            clock.later_seconds += LIFE_SECONDS
            (later,) = await other.verify([token("good-3")], own)
            assert later.verdict is BOT, "who was asked about since then is noted"


async def look_once(checks: HumanChecks) -> None:
    """Lets the loop of a replica go round once."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(checks.run(stop))
        await asyncio.sleep(0)
        stop.set()


@pytest.mark.parametrize("is_there", [True, False], ids=["who asked is there", "and is not"])
async def test_a_replica_that_asked_nobody_in_an_outage_makes_nobody_guilty_either(
    provider: FakeProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    own, clock = verifiers(provider), HandClock()
    with running_redis(tmp_path) as server:
        async with (
            connect(server.url, name="test", timeout_seconds=PATIENCE_SECONDS) as client,
            aclosing(HumanChecks(clock, shared=HumanVerdicts(client))) as one,
            aclosing(HumanChecks(clock, shared=HumanVerdicts(client))) as other,
        ):
            await look_once(other)
            os.kill(server.pid, signal.SIGSTOP)
            try:
                (found,) = await one.verify([token("good")], own)
                with monkeypatch.context() as briefly:
                    briefly.setattr(shared_checks, "_PROBE_ANSWER_SECONDS", 0.5)
                    await look_once(other)
            finally:
                os.kill(server.pid, signal.SIGCONT)
            assert found.verdict is HUMAN
            clock.later_seconds = 11
            if is_there:
                await look_once(one)
            provider.used.add("good-2")
            first, second = await other.verify([token("good"), token("good-2")], own)
            assert (first.verdict, second.verdict) == (HUMAN if is_there else UNKNOWN, UNKNOWN)
            assert len(provider.forms) == (2 if is_there else 3)
            provider.used.add("good-3")
            clock.later_seconds += LIFE_SECONDS
            (later,) = await other.verify([token("good-3")], own)
            assert later.verdict is BOT, "who was asked about since then is noted"


async def test_a_token_of_which_nothing_is_known_is_noted_as_asked_and_hides_no_verdict(tmp_path: Path) -> None:
    verdicts = Checked(HUMAN, 90), Checked(BOT), None
    names = [bytes([number]) * 16 for number in range(3)]
    with running_redis(tmp_path) as server:
        async with connect(server.url, name="test") as client:
            shared = HumanVerdicts(client)
            await shared.remember(names[2], Checked(HUMAN))
            for _ in range(2):
                await shared.catch_up(dict(zip(names, verdicts, strict=True)))
            assert [await shared.look(name) for name in names] == [*verdicts[:2], Checked(HUMAN)]
            await shared.catch_up({b"n" * 16: None})
            assert await shared.begin(b"n" * 16, b"", 3) == (True, None, True)


async def test_a_store_of_what_replicas_know_that_hangs_is_waited_for_once(
    provider: FakeProvider, tmp_path: Path
) -> None:
    with running_redis(tmp_path) as server:
        async with (
            connect(server.url, name="test") as client,
            aclosing(HumanChecks(SystemClock(), shared=HumanVerdicts(client))) as checks,
        ):
            await checks.verify([token("good")], verifiers(provider))
            os.kill(server.pid, signal.SIGSTOP)
            try:
                async with asyncio.timeout(60):  # 40 x 2 s if each were to wait
                    for number in range(40):
                        (found,) = await checks.verify([token(f"good-{number}")], verifiers(provider))
                        assert found.verdict is HUMAN
            finally:
                os.kill(server.pid, signal.SIGCONT)


async def test_a_score_below_the_limit_fails(provider: FakeProvider, checks: HumanChecks) -> None:
    provider.scores |= {"good-1": 0.3, "good-2": 0.7}
    own = verifiers(provider, minimum_score_percent=60)
    found = await checks.verify([token("good-1", Provider.RECAPTCHA), token("good-2", Provider.RECAPTCHA)], own)
    assert found == [Checked(BOT, 30), Checked(HUMAN, 70)]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        pytest.param(500, b"{}", id="an error"),
        pytest.param(429, b'{"success": false}', id="too many questions"),
        pytest.param(302, b"", id="elsewhere"),
        pytest.param(200, b"<html>maintenance</html>", id="a page"),
        pytest.param(200, b'{"success": "yes"}', id="another type"),
        pytest.param(200, b"[" * 60_000, id="nested without end"),
        pytest.param(200, b'{"success": true, "x": "' + b"x" * 100_000 + b'"}', id="endless"),
        pytest.param(200, b'{"success": false, "error-codes": ["invalid-input-secret"]}', id="our secret is wrong"),
    ],
)
async def test_an_answer_that_says_nothing_of_the_token_makes_nobody_guilty(
    status: int, body: bytes, provider: FakeProvider, checks: HumanChecks
) -> None:
    provider.raw = status, body
    (found,) = await checks.verify([token("bad")], verifiers(provider))
    assert found.verdict is UNKNOWN
    provider.raw = None
    (again,) = await checks.verify([token("bad")], verifiers(provider))
    assert again.verdict is BOT, "what is unknown is not kept"


async def test_a_provider_that_is_slow_is_not_waited_for_longer_than_its_time_out(
    provider: FakeProvider, checks: HumanChecks
) -> None:
    provider.release.clear()
    async with asyncio.timeout(60):  # 200 x 0.5 s if one were waited for after the other
        found = await checks.verify([token(f"good-{n}") for n in range(200)], verifiers(provider, timeout_seconds=0.5))
    assert {one.verdict for one in found} == {UNKNOWN}


async def test_a_provider_that_is_down_is_soon_left_alone_and_asked_again_later(
    provider: FakeProvider, checks: HumanChecks
) -> None:
    provider.raw = 503, b""
    own = verifiers(provider)
    for number in range(20):
        assert (await checks.verify([token(f"good-{number}")], own))[0].verdict is UNKNOWN
    assert len(provider.forms) == 5


async def test_a_call_that_found_no_slot_is_unknown_and_says_nothing_of_its_provider(
    provider: FakeProvider, checks: HumanChecks
) -> None:
    patient, own = verifiers(provider, timeout_seconds=60), verifiers(provider, timeout_seconds=1)
    provider.release.clear()
    held = [asyncio.create_task(checks.verify([token(f"good-{number}")], patient)) for number in range(AT_ONCE)]
    await eventually_async(lambda: len(provider.forms) == AT_ONCE)
    late = await checks.verify([token(f"late-{number}") for number in range(20)], own)
    assert {(one.verdict, one.fault) for one in late} == {(UNKNOWN, "no slot")}
    provider.release.set()
    assert [(await one)[0].verdict for one in held] == [HUMAN] * AT_ONCE
    assert (await checks.verify([token("late-1")], patient))[0].verdict is BOT, "it was not posted, nor noted as spent"


async def test_a_provider_that_was_left_less_time_than_it_has_is_not_guilty_of_that(
    provider: FakeProvider, checks: HumanChecks
) -> None:
    patient, own = verifiers(provider, timeout_seconds=60), verifiers(provider, timeout_seconds=3)
    provider.release.clear()
    held = [asyncio.create_task(checks.verify([token(f"good-{number}")], patient)) for number in range(AT_ONCE)]
    await eventually_async(lambda: len(provider.forms) == AT_ONCE)
    waiting = [asyncio.create_task(checks.verify([token(f"slow-{number}")], own)) for number in range(20)]
    await asyncio.sleep(0)  # they stand in line
    provider.release.set()
    assert [(await one)[0].verdict for one in held] == [HUMAN] * AT_ONCE
    assert {(await one)[0].fault for one in waiting} == {"timeout"}
    assert (await checks.verify([token("good")], patient))[0].verdict is HUMAN


async def test_a_provider_that_hangs_takes_no_slot_of_anothers(provider: FakeProvider, checks: HumanChecks) -> None:
    with running_provider() as hung:
        hung.release.clear()
        held = [
            asyncio.create_task(checks.verify([token(f"good-{number}")], verifiers(hung, timeout_seconds=20)))
            for number in range(2 * AT_ONCE)
        ]
        await eventually_async(lambda: len(hung.forms) == AT_ONCE)
        assert (await checks.verify([token("good")], verifiers(provider)))[0].verdict is HUMAN
        hung.release.set()
        await asyncio.gather(*held)


@pytest.mark.parametrize(("status", "codes"), [(200, '["bad-request"]'), (200, '["something-new"]'), (400, "[]")])
async def test_tokens_that_a_provider_cannot_read_do_not_turn_its_check_off(
    status: int, codes: str, provider: FakeProvider, checks: HumanChecks
) -> None:
    provider.raw = status, b'{"success": false, "error-codes": ' + codes.encode() + b"}"
    for number in range(20):
        assert (await checks.verify([token(f"odd-{number}")], verifiers(provider)))[0].verdict is UNKNOWN
    provider.raw = None
    assert (await checks.verify([token("bad")], verifiers(provider)))[0].verdict is BOT


async def test_nobody_listens(checks: HumanChecks) -> None:
    nobody = Verifier(Provider.TURNSTILE, f"http://127.0.0.1:{free_port()}/", SECRET, allow_private_addresses=True)
    (found,) = await checks.verify([token("good")], {Provider.TURNSTILE: nobody})
    assert found.verdict is UNKNOWN


async def test_a_provider_at_a_private_address_is_not_called(provider: FakeProvider, checks: HumanChecks) -> None:
    port = provider.endpoint.rpartition(":")[2]
    for host in ("127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"):
        forged = Verifier(Provider.TURNSTILE, f"http://{host}:{port}", SECRET)
        (found,) = await checks.verify([token("good")], {Provider.TURNSTILE: forged})
        assert (found.verdict, found.fault) == (UNKNOWN, "RefusedAddressError")
    assert provider.forms == []


async def test_neither_a_redirect_nor_a_proxy_of_the_environment_leads_a_token_elsewhere(
    provider: FakeProvider, checks: HumanChecks, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_provider() as elsewhere:
        monkeypatch.setenv("HTTP_PROXY", elsewhere.endpoint)
        monkeypatch.setenv("ALL_PROXY", elsewhere.endpoint)
        assert (await checks.verify([token("good")], verifiers(provider)))[0].verdict is HUMAN
        provider.raw, provider.headers = (307, b""), {"Location": elsewhere.endpoint}
        assert (await checks.verify([token("good-2")], verifiers(provider)))[0].verdict is UNKNOWN
        assert elsewhere.forms == []


async def test_a_provider_that_is_not_declared_is_unknown(provider: FakeProvider, checks: HumanChecks) -> None:
    found = await checks.verify([token("good", None), token("good", Provider.HCAPTCHA)], {})
    assert [one.verdict for one in found] == [UNKNOWN, UNKNOWN]
    assert provider.forms == []


async def test_a_caller_in_a_hurry_gets_no_answer_now_and_the_right_one_when_it_asks_again(
    provider: FakeProvider, checks: HumanChecks
) -> None:
    provider.release.clear()
    own = verifiers(provider, timeout_seconds=10)
    (now,) = await checks.verify([token("good")], own, within_seconds=0.05)
    assert now.verdict is UNKNOWN
    provider.release.set()
    (again,) = await checks.verify([token("good")], own)
    assert (again.verdict, len(provider.forms)) == (HUMAN, 1)


async def test_one_caller_who_leaves_does_not_take_the_answer_along(
    provider: FakeProvider, checks: HumanChecks
) -> None:
    provider.release.clear()
    own = verifiers(provider, timeout_seconds=10)
    leaving = asyncio.create_task(checks.verify([token("good")], own))
    staying = asyncio.create_task(checks.verify([token("good")], own))

    async def is_asked() -> None:
        assert provider.forms

    await eventually_async(is_asked)
    leaving.cancel()
    provider.release.set()
    assert (await staying)[0].verdict is HUMAN


def rules(provider: FakeProvider) -> WorkspaceRules:
    declared = compile_rules(Workspace.model_validate({"id": "shop", "pepper": {"value": "p" * 16}}))
    return WorkspaceRules(
        **{name: getattr(declared, name) for name in declared.__slots__ if name != "verifiers"},
        verifiers=verifiers(provider),
    )


def visits(own: WorkspaceRules, *tokens: str, observed_by: int = 1, verdict: int = 0, bought: str = "") -> list[Packed]:
    events = []
    for number, text in enumerate(tokens):
        event = Event(event_id=f"e-{number}")
        event.event_time.FromMicroseconds(NOW)
        if bought:
            event.conversion.name = bought
        else:
            event.touchpoint.kind = 1
        event.identifiers.visitor_id = "v"
        event.context.observed_by = observed_by  # type: ignore[assignment]
        event.context.user_agent, event.context.client_ip = BROWSER, "203.0.113.7"
        event.human_check.provider, event.human_check.token = 3, text
        event.human_check.verdict = verdict  # type: ignore[assignment]
        events.append(event)
    return take_all(events, own, NOW, backfill=False)


@pytest.fixture
async def fraud(checks: HumanChecks) -> AsyncIterator[Fraud]:
    async with redis.asyncio.Redis(port=1) as nobody:
        yield Fraud(Velocity(nobody), checks, SystemClock(), 0.1)


async def test_what_came_of_a_check_is_part_of_the_event_and_the_token_is_not(
    provider: FakeProvider, fraud: Fraud
) -> None:
    own = rules(provider)
    provider.scores["good-2"] = 0.8
    judged = await fraud.judge(visits(own, "good-1", "bad", "good-2"), own)
    admitted = [AdmittedEvent.FromString(one.admitted) for one in judged]
    assert [one.verdict for one in judged] == [one.verdict for one in admitted] == [ACCEPTED, QUARANTINED, ACCEPTED]
    assert [one.event.human_check.verdict for one in admitted] == [1, 2, 1]
    assert [one.event.event_id for one in admitted] == ["e-0", "e-1", "e-2"], "the rest is as it was"
    assert admitted[2].event.human_check.score_percent == 80
    assert [[reason.code.value for reason in one.reasons] for one in judged] == [[], ["HUMAN_CHECK_FAILED"], []]
    assert [reason.code for reason in admitted[1].reasons] == [verdict_pb2.REASON_CODE_HUMAN_CHECK_FAILED]
    assert not any(b"good" in one.admitted or b"bad" in one.admitted for one in judged)
    assert all(form["remoteip"] == "203.0.113.7" for form in provider.forms)


async def test_a_conversion_that_comes_with_a_token_of_too_many_is_quarantined(
    provider: FakeProvider, fraud: Fraud
) -> None:
    own = rules(provider)
    for _ in range(2):  # sent again, the first three are the same events
        judged = await fraud.judge(visits(own, *["good"] * 5, bought="purchase"), own)
        assert [one.verdict for one in judged] == [ACCEPTED] * 3 + [QUARANTINED] * 2
        assert [reason.code.value for reason in judged[4].reasons] == ["HUMAN_CHECK_REUSED"]
        admitted = [AdmittedEvent.FromString(one.admitted) for one in judged]
        assert [one.event.human_check.verdict for one in admitted] == [1, 1, 1, 3, 3]


async def test_during_an_outage_events_are_taken_with_a_warning(provider: FakeProvider, fraud: Fraud) -> None:
    provider.raw = 500, b""
    own = rules(provider)
    (judged,) = await fraud.judge(visits(own, "bad"), own)
    assert (judged.verdict, [reason.code.value for reason in judged.reasons]) == (ACCEPTED, ["HUMAN_CHECK_UNVERIFIED"])
    assert AdmittedEvent.FromString(judged.admitted).event.human_check.verdict == 3


async def test_an_address_that_is_no_persons_own_is_not_told_to_the_provider(
    provider: FakeProvider, fraud: Fraud
) -> None:
    own = rules(provider)
    await fraud.judge(visits(own, "good", observed_by=4), own)
    assert provider.forms == [{"secret": SECRET, "response": "good"}]


@pytest.mark.parametrize(("verdict", "expected"), [(1, ACCEPTED), (2, QUARANTINED), (3, ACCEPTED)])
async def test_a_verdict_that_the_caller_has_already_is_taken_and_nobody_is_asked(
    verdict: int, expected: int, provider: FakeProvider, fraud: Fraud
) -> None:
    own = rules(provider)
    (judged,) = await fraud.judge(visits(own, "good", verdict=verdict), own)
    assert (judged.verdict, provider.forms) == (expected, [])
