"""By what a CRM knows the lead of somebody who was erased is gone from the store of jobs before that is finished."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from redis.asyncio import Redis

from tests.support.attribution import NOON, Attribution, Events, running_attribution
from tests.support.batches import a_batch_destination, declared_batches, deliver, running_fake
from tests.support.delivery import Rig, a_rig
from tests.support.families import Families
from tests.support.ports import free_port
from tributary_delivery.forgotten_names import ForgottenNames
from tributary_domain.erasures import Erasure, ErasureState
from tributary_domain.families import lead_names
from tributary_domain.ids import family_id
from tributary_domain.lead_claims import ObjectKind
from tributary_runtime.clock import SystemClock
from tributary_runtime.errors import StorageUnavailableError
from tributary_runtime.workspaces_file import WorkspacesFile
from tributary_storage.clickhouse.recorded_leads import RecordedLeads
from tributary_storage.redis import job_keys
from tributary_storage.redis.client import connect
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.erased_names import ErasedNames
from tributary_storage.redis.first_claims import LEAD_LIFE_SECONDS
from tributary_storage.redis.names_in_jobs import NamesInJobs
from tributary_storage.redis.replication import Replication

ANN, BOB = "visitor:ann", "visitor:bob"
KINDS: dict[str, Any] = {"conversions": {"lead": {}}}
DECLARED = declared_batches("hubspot", "http://127.0.0.1:1", **KINDS)


@pytest.fixture
async def rig(migrated_redis_url: str, clickhouse_url: str) -> AsyncIterator[Rig]:
    async with a_rig(migrated_redis_url, clickhouse_url) as opened:
        yield opened


@pytest.fixture
async def attribution(migrated_redis_url: str, clickhouse_url: str, workspace: str) -> AsyncIterator[Attribution]:
    declared = {"conversions": [{"name": "lead"}]}
    async with running_attribution(migrated_redis_url, clickhouse_url, workspace, **declared) as running:
        yield running


class Lead:
    """What callers call a lead, and what a CRM is told of it."""

    def __init__(self, attribution: Attribution, rig: Rig, file: Path) -> None:
        self.attribution, self.rig, self.file = attribution, rig, file
        self.lane = Lane(attribution.workspace.id, "hubspot")
        self.word = secrets.token_hex(6)
        self.lead_id, self.root = f"lead-{self.word}", f"root-{self.word}"
        self.digests = [family_id(name) for name in lead_names(self.lead_id, "", self.root)]

    async def tell(self, server: Any, *tokens: str, stage: str = "new", at: int = NOON, **named: str) -> str:
        """Lets a stage happen, and be told; returns its conversion id."""
        named = named or {"lead_id": self.lead_id, "root": self.root}
        families = Families(Events(self.lane.workspace))
        own = families.stage(*tokens, stage=stage, at=at, event_id=f"{stage}-{at}", **named)
        await self.attribution.record(own)
        await self.attribution.handle(own)
        revised = await self.attribution.published(own[1].conversion_id)
        assert revised is not None
        await self.rig.plan(self.lane, revised)
        await deliver(self.rig, self.lane, server, **KINDS)
        return own[1].conversion_id

    async def traces(self) -> list[str]:
        """Returns the keys of jobs that have anything of it: in their names, or in what they hold."""
        found = []
        async for key in self.rig.redis.scan_iter(match=f"trb:{{j:{self.lane.workspace}:*", count=1000):
            content = key + (await self.rig.redis.dump(key) or b"")
            if any(word.encode() in content for word in (self.word, *self.digests)):
                found.append(key.decode())
        return found

    def forgetting(self, jobs: Redis | None = None, settle: Any = None) -> ForgottenNames:
        """Returns delivery's part."""
        shop = {"id": self.lane.workspace, "pepper": {"value": "a pepper of the tests"}}
        self.file.write_text(yaml.safe_dump({"workspaces": [{**shop, "destinations": [DECLARED]}]}))
        workspaces = WorkspacesFile.load(self.file)
        redis = self.rig.redis
        return ForgottenNames(
            *(ErasedNames(redis), NamesInJobs(jobs or redis), RecordedLeads(self.rig.clickhouse)),
            *(workspaces, SystemClock(), settle or Replication(redis, "jobs", 0).settle),
        )


@pytest.fixture
def lead(attribution: Attribution, rig: Rig, tmp_path: Path) -> Lead:
    return Lead(attribution, rig, tmp_path / "workspaces.yaml")


async def erased(attribution: Attribution, who: str = ANN) -> Erasure:
    planned = attribution.erasing.plan(attribution.workspace.id, [who])
    return await attribution.erasing.go_on(await attribution.erasing.request(planned))


async def dies() -> None:
    raise StorageUnavailableError("The replicas did not answer.")


async def test_an_erased_lead_leaves_nothing_in_the_store_of_jobs_and_comes_again_as_new(
    attribution: Attribution, lead: Lead
) -> None:
    with running_fake("hubspot") as server:
        await lead.tell(server, ANN)
        assert sorted(await lead.traces()) == sorted(
            job_keys.lead_claims(lead.lane.workspace, "hubspot", family) for family in lead.digests
        )
        assert list(server.fake.counted) == [lead.root]
        dry = await attribution.erasing.survey(attribution.erasing.plan(lead.lane.workspace, [ANN]))
        assert dry["names_in_jobs"] == 2
        erasure = await erased(attribution)
        assert {name: number for name, number in erasure.remaining.items() if number} == {"names_in_jobs": 3}
        again = await attribution.erasing.go_on(erasure)
        assert again.state is ErasureState.DESTROYED, "delivery has not done it"
        verified = await attribution.erasing.survey(attribution.erasing.plan(lead.lane.workspace, [ANN]))
        assert verified["names_in_jobs"] == 3
        async with connect(f"redis://127.0.0.1:{free_port()}/0", name="away") as away:
            with pytest.raises(StorageUnavailableError):
                await lead.forgetting(jobs=away).forget()
        assert len(await lead.traces()) == 2
        with pytest.raises(StorageUnavailableError):
            await lead.forgetting(settle=dies).forget()
        assert await lead.traces() == []
        again = await attribution.erasing.go_on(again)
        assert (again.state, again.remaining["names_in_jobs"]) == (ErasureState.DESTROYED, 3), "nobody said that it is"
        assert await lead.forgetting().forget() >= 1
        assert (await attribution.erasing.go_on(again)).state is ErasureState.FINISHED
        verified = await attribution.erasing.survey(attribution.erasing.plan(lead.lane.workspace, [ANN]))
        assert not any(verified.values()), verified
        await lead.tell(server, BOB, stage="won", at=erasure.until_micros + 1, lead_id=lead.lead_id)
        assert set(server.fake.counted) == {lead.root, f"lead:{lead.lead_id}"}


async def test_a_lead_that_was_told_as_two_objects_is_one_and_is_forgotten_by_all_its_names(
    attribution: Attribution, lead: Lead
) -> None:
    ids = []
    with running_fake("hubspot") as server:
        for at, named in enumerate(({"lead_id": lead.lead_id}, {"root": lead.root}, {})):
            ids.append(await lead.tell(server, ANN, stage=f"stage-{at}", at=NOON + at, **named))
        for conversion_id in ids[:2]:
            superseded = await attribution.published(conversion_id)
            assert superseded is not None
            assert superseded.state.superseded_by == ids[2]
            await lead.rig.plan(lead.lane, superseded)
        await deliver(lead.rig, lead.lane, server, **KINDS)
        assert {name: int(value) for name, value in server.fake.values.items()} == {
            f"lead:{lead.lead_id}": 10,
            lead.root: 0,
        }
        again = await lead.tell(server, ANN, stage="stage-4", at=NOON + 4, root=lead.root)
        [line] = await lead.rig.deliveries(lead.lane, again)
        assert line.visible_id == f"lead:{lead.lead_id}"
    await erased(attribution)
    await lead.forgetting().forget()
    assert await lead.traces() == []


async def test_what_was_being_sent_to_a_destination_that_hangs_is_known_by_no_name_any_more(
    attribution: Attribution, lead: Lead
) -> None:
    conversion_id, redis = "c1:being-sent", lead.rig.redis
    job = job_keys.job(lead.lane.workspace, "gone", conversion_id)
    await redis.zadd(job_keys.due(lead.lane.workspace, "gone"), {conversion_id: 1})
    await redis.hset(job, mapping={"r": 1, "k": f'["{lead.word}","","","",0]'})
    assert await lead.traces() == [job]
    forgotten = NamesInJobs(redis)
    assert await forgotten.forget(await forgotten.lanes(), lead.digests, [conversion_id]) == 1
    assert await lead.traces() == []
    assert await redis.hgetall(job) == {b"r": b"1"}


async def test_claims_of_an_earlier_version_hold_until_they_are_converted_and_those_of_nobody_are_dropped(
    attribution: Attribution, lead: Lead
) -> None:
    redis, place = lead.rig.redis, (lead.lane.workspace, "hubspot")
    account = a_batch_destination("hubspot", "http://127.0.0.1:1", **KINDS).account
    by_id, by_order = lead_names(lead.lead_id, "", lead.root)
    olds = [job_keys.old_lead_name(*place, ObjectKind(account, "").old_digest(name)) for name in (by_id, by_order)]
    nobody = job_keys.old_lead_name(*place, ObjectKind(account, "").old_digest("lead:erased-long-ago"))
    for old in (*olds, nobody):
        await redis.set(old, f"told-{lead.word}", ex=LEAD_LIFE_SECONDS - 60)
    with running_fake("hubspot") as server:
        await lead.tell(server, ANN, lead_id=lead.lead_id)
        assert await redis.exists(*olds) == 1, "that of its root order was not needed yet"
        await lead.tell(server, ANN, stage="won", at=NOON + 1)
        assert await redis.exists(*olds) == 0
        await redis.delete(*[job_keys.lead_claims(*place, family) for family in lead.digests])
        for old in olds:
            await redis.set(old, f"told-{lead.word}", ex=LEAD_LIFE_SECONDS - 60)
        await lead.forgetting().forget()
        assert await redis.exists(*olds, nobody) == 0
        for family in lead.digests:
            life = await redis.ttl(job_keys.lead_claims(*place, family))
            assert LEAD_LIFE_SECONDS - 600 < life <= LEAD_LIFE_SECONDS - 60
        await lead.tell(server, ANN, stage="paid", at=NOON + 2, root=lead.root)
        assert set(server.fake.counted) == {f"told-{lead.word}"}
