"""A Redis Cluster that changes under load: what was acknowledged stays, once, wherever slots and leaders go."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress

import pytest

from tests.faults.load import DUPLICATE, Load, findings
from tests.support.admissions import AN_EPOCH, Sent, a_request, running_admission
from tests.support.cluster import MASTERS, Cluster, running_cluster
from tests.support.eventually import PATIENCE_SECONDS, eventually_async
from tributary_domain.shards import shard_of_key
from tributary_runtime.errors import StorageUnavailableError
from tributary_storage.redis import keys
from tributary_storage.redis.client import connect
from tributary_storage.redis.cluster_slots import slot_of
from tributary_storage.redis.data_keys import Candidate, DataKeys
from tributary_storage.redis.replication import Replication

FOLLOWER = MASTERS
SLOTS = [slot_of(keys.event_log(shard, "live")) for shard in range(AN_EPOCH.shards)]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Whose follower takes over when it is told to, and not because a busy machine let its leader wait."""
    settings = {"cluster-node-timeout": "5000", "cluster-replica-no-failover": "yes"}
    with running_cluster(tmp_path_factory.mktemp("cluster"), followers=1, settings=settings) as running:
        yield running


@pytest.fixture
async def cluster(shared: Cluster) -> Cluster:
    await shared.settle()
    await shared.flush()
    return shared


Change = Callable[[Load], Awaitable[None]]


async def wrongly_told(cluster: Cluster, workspace: str, changes: Sequence[Change], *, replicas: int = 0) -> list[str]:
    """Returns what callers who retry, while the cluster changes step by step, are told that is not so."""
    events = [Sent(f"e-{number}", order=f"o-{number}" if number % 5 == 0 else "") for number in range(200)]

    def may_go_on() -> bool:  # so that each change meets some of them, and some come after the last
        return load.progress <= load.most

    async with (
        running_admission(cluster.url, replicas=replicas) as admission,
        connect(cluster.url, name="tests") as client,
    ):

        async def send(batch: Sequence[Sent]) -> Sequence[int]:
            await eventually_async(may_go_on, timeout_seconds=PATIENCE_SECONDS * len(changes))
            return [outcome.verdict for outcome in await admission.admit(a_request(workspace, batch))]

        load = Load(send, events, most=1 / (len(changes) + 1))
        async with asyncio.TaskGroup() as group:
            group.create_task(load.run())
            for at, change in enumerate(changes):
                await eventually_async(lambda at=at: load.progress > at / (len(changes) + 1))
                await change(load)
                load.most = (at + 2) / (len(changes) + 1)
        assert load.unanswered, "nothing was disturbed"
        found = await findings(load, client)

        async def all_known() -> None:
            with suppress(StorageUnavailableError):
                assert set(await send(events)) == {DUPLICATE}
                return
            raise AssertionError("nothing was decided")

        await eventually_async(all_known)
        return found


async def test_what_is_waited_for_is_on_a_replica_of_every_node(cluster: Cluster) -> None:
    owners = [await cluster.owner_of(slot_of(keys.data_key(shard, ""))) for shard in range(4)]
    async with connect(cluster.url, name="tests") as client:
        with pytest.raises(StorageUnavailableError, match="0 of 1 replicas"):  # the other nodes have none
            await Replication(client, "state", 1, timeout_seconds=0.05).settle()
        # Of data keys, those are used that the replica has, too.
        names = [("shop", bytes([number] * 8)) for number in range(60)]

        async def keys_of_one_node() -> None:
            obtained = await DataKeys(client, 4, 1).obtain(dict.fromkeys(names, Candidate(b"key", 1)), 60)
            assert {owners[shard_of_key(f"shop|{name.hex()}", 4)] for _, name in obtained} == {0}

        await eventually_async(keys_of_one_node)


async def test_slots_that_move_with_their_keys_under_load_lose_and_double_nothing(
    cluster: Cluster, workspace: str
) -> None:
    async def move(slot: int) -> None:
        await cluster.move(slot, (await cluster.owner_of(slot) + 1) % MASTERS)

    assert await wrongly_told(cluster, workspace, [lambda _, slot=slot: move(slot) for slot in SLOTS]) == []


async def test_a_node_whose_follower_takes_over_under_load_loses_and_doubles_nothing(
    cluster: Cluster, workspace: str
) -> None:
    if 0 not in [await cluster.owner_of(slot) for slot in SLOTS]:
        await cluster.move(SLOTS[0], 0)
    assert await wrongly_told(cluster, workspace, [lambda _: cluster.fail_over(FOLLOWER)]) == []
    assert FOLLOWER in [await cluster.owner_of(slot) for slot in SLOTS]


@pytest.mark.parametrize("replicas", [1, 0])
async def test_a_node_that_crashes_and_whose_follower_lacks_its_last_writes_loses_only_what_nobody_waited_for(
    cluster: Cluster, workspace: str, replicas: int
) -> None:
    async with cluster.node(FOLLOWER) as node:
        follows = (await node.execute_command("ROLE"))[0] != "master"
    leader, follower = (0, FOLLOWER) if follows else (FOLLOWER, 0)
    for slot in SLOTS:  # the others have no follower
        if await cluster.owner_of(slot) != leader:
            await cluster.move(slot, leader)

    async def crash(load: Load) -> None:
        cluster.servers[follower].pause()
        async with cluster.node(leader) as node:  # else what is sent is read once the follower goes on
            await node.execute_command("CLIENT KILL TYPE replica")
        undecided, progress = load.unanswered, load.progress
        load.most = progress + 0.2  # it may have come as far as it may before anything was changed

        def has_written_alone() -> bool:
            return load.unanswered > undecided + 2 or load.progress > progress + 0.1

        try:
            await eventually_async(has_written_alone)
            cluster.servers[leader].kill()
        finally:
            cluster.servers[follower].resume()
        async with cluster.node(follower) as node:
            await node.execute_command("CLUSTER FAILOVER TAKEOVER")
        cluster.servers[leader].start()
        await asyncio.to_thread(cluster.servers[leader].wait_until_ready)
        await cluster.settle()

    async with cluster.disturbed():
        found = await wrongly_told(cluster, workspace, [crash], replicas=replicas)
    assert {await cluster.owner_of(slot) for slot in SLOTS} == {follower}
    assert bool(found) == (not replicas), f"who does not wait is told what is lost, and nobody else: {found}"
