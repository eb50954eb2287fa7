"""Claims events and orders, and appends what is new to the event log: one round trip for all shards.

The one rule: nothing here retries. A reply that is lost leaves the events undecided for their caller, who sends them
again and is told DUPLICATE. Fails closed: without an answer nothing is acknowledged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import redis.asyncio
from hiredis import pack_command
from redis.exceptions import NoScriptError, OutOfMemoryError, ResponseError

from tributary_storage.redis import keys
from tributary_storage.redis.cluster import ClusterRedis
from tributary_storage.redis.cluster_nodes import by_node, note
from tributary_storage.redis.cluster_silence import NODE_SECONDS
from tributary_storage.redis.keys import Lane
from tributary_storage.redis.scripts import Argument, Script

SCHEMA: Final = 1
"""Of a stream entry: `schema, payload, mask, accept_time`, payload a serialised `AdmittedEvents`."""

_PACK: Any = pack_command  # its stub knows only commands of one word
_ADMIT = Script("admit")
_ADMIT_ORDERS = Script("admit_orders")
_DECIDE = Script("decide_quarantined")
_LOADS: Final[list[list[Argument]]] = [["SCRIPT", "LOAD", script.body] for script in (_ADMIT, _ADMIT_ORDERS, _DECIDE)]


@dataclass(frozen=True, slots=True)
class Admit:
    """Events of one shard and lane in step (a), for `lua/admit.lua`."""

    shard: int
    lane: Lane
    payload: bytes
    """Serialised `AdmittedEvents` of the plain events, in order."""
    letters: bytes
    """Per event A, Q or R as the door decided, or o for one with an order, which is only registered; h or
    `claim_layout.MOVE` for one whose order was of another shard."""
    claims: bytes
    """Per event its claim record (R: a filler)."""
    bucket_keys: Sequence[str]
    """Per event but the rejected the bucket of its claim."""
    runs: Sequence[tuple[str, int]]
    """(workspace, number of events) in order."""
    rounds: bytes = b""
    """Per event `claim_layout.pack_round` of h and `MOVE`, as it was answered; empty if there are none."""

    def command(self) -> list[Argument]:
        """Returns the call of the script."""
        packed = (SCHEMA, self.payload, self.letters, self.claims, self.rounds)
        return _command(_ADMIT, self, packed)


@dataclass(frozen=True, slots=True)
class AdmitOrders:
    """Ordered events of one order shard and lane, for `lua/admit_orders.lua`."""

    shard: int
    lane: Lane
    payload: bytes
    """Serialised `AdmittedEvents` of these events, in order."""
    letters: bytes
    """Per event A or Q as the door decided, or C or D as step (a) found."""
    claims: bytes
    """Per event its claim record under `home_digest` (C, D: a filler)."""
    orders: bytes
    """Per event its order record (C, D: a filler)."""
    bucket_keys: Sequence[str]
    """Per event of letter A or Q two: the bucket of its claim, the bucket of its order."""
    runs: Sequence[tuple[str, int]]
    """(workspace, number of events) in order."""
    rounds: bytes = b""
    """Per event `claim_layout.pack_round` of its registration; empty if all are 0."""

    def command(self) -> list[Argument]:
        """Returns the call of the script."""
        packed = (SCHEMA, self.payload, self.letters, self.claims, self.orders, self.rounds)
        return _command(_ADMIT_ORDERS, self, packed)


@dataclass(frozen=True, slots=True)
class Decide:
    """What was decided about one quarantined event, for `lua/decide_quarantined.lua`."""

    shard: int
    """Where it was claimed: its own, or its order's."""
    lane: Lane
    payload: bytes
    """Serialised `AdmittedEvents` of this one event."""
    letter: bytes
    """A: it is released; X: it is rejected."""
    claim: bytes
    """Its claim record, under `home_digest` if it has an order."""
    order: bytes
    """Its order record; empty if it has none."""
    bucket_keys: Sequence[str]
    """The bucket of its claim and, if it has an order, that of the order."""
    workspace: str

    def command(self) -> list[Argument]:
        """Returns the call of the script."""
        log, verdicts = keys.event_log(self.shard, self.lane), keys.verdicts(self.shard)
        packed = (SCHEMA, self.payload, self.letter, self.claim, self.order, self.workspace)
        return ["EVALSHA", _DECIDE.sha, 2 + len(self.bucket_keys), log, verdicts, *self.bucket_keys, *packed]


def _command(script: Script, of: Admit | AdmitOrders, packed: tuple[Argument, ...]) -> list[Argument]:
    names = (keys.event_log(of.shard, of.lane), keys.verdicts(of.shard), keys.rounds(of.shard))
    runs = [argument for run in of.runs for argument in run]
    return ["EVALSHA", script.sha, len(names) + len(of.bucket_keys), *names, *of.bucket_keys, *packed, *runs]


@dataclass(frozen=True, slots=True)
class Decided:
    """A script ran, and what it wrote is as safe as the installation's durability mode makes it."""

    accept_time_micros: int
    """By the log's clock."""
    letters: bytes
    """What became of each event. Plain: A, Q, R, D or C. Ordered, in step (a): o or n (go on to step b), d, c, h,
    m or u; in step (b): A, Q, M, D, C, V, B or U. Of a decision: A, M, X, V, D or N."""
    known: bytes
    """`Admit`: the claim of each D, C, d and c, the round of each n, h and m, in order. `AdmitOrders`: the claim of
    each D that the script itself found, the order of each M and V, the round of each B, in order. `Decide`: the claim
    of a D."""


@dataclass(frozen=True, slots=True)
class Undecided:
    """A script did not run, or nobody knows whether it did."""

    is_full: bool
    """Redis refused for want of memory, before the first write."""
    message: str
    """What Redis or the network said, for the log."""


class Claims:
    """The claim scripts of one Redis in the role *log*.

    Args:
        client: Connects.
        timeout_seconds: How long one commit may take, with connecting and loading scripts; a node of a cluster, for
            which the others' events wait, has less.
        replicas: How many replicas must have what was written before it counts as decided (`WAIT`); 0: none.
        replica_timeout_seconds: How long to wait for them.
    """

    def __init__(
        self,
        client: redis.asyncio.Redis,
        *,
        timeout_seconds: float = 5.0,
        replicas: int = 0,
        replica_timeout_seconds: float = 1.0,
    ) -> None:
        self._client: Any = client
        self._timeout_seconds = timeout_seconds
        self._replicas = replicas
        self._replica_timeout_millis = int(replica_timeout_seconds * 1000)

    async def commit(self, calls: Sequence[Admit | AdmitOrders | Decide]) -> list[Decided | Undecided]:
        """Runs each call as one atomic script, all in one round trip.

        May block for the timeout; never raises for a Redis that fails. May not be run twice for the same
        events without them becoming duplicates of themselves.

        Args:
            calls: In the order in which they shall be decided.

        Returns:
            One answer per call.
        """
        deadline = asyncio.get_running_loop().time() + self._timeout_seconds
        if not isinstance(self._client, ClusterRedis):
            return [_decided(answer) for answer in await self._commit(self._client, calls, deadline)]
        answers: list[Any] = [None] * len(calls)
        silence = self._client.silence
        try:
            async with asyncio.timeout_at(deadline):
                groups = await by_node(self._client, [keys.verdicts(call.shard) for call in calls])
        except (redis.RedisError, TimeoutError) as error:
            self._client.forget()
            return [_decided(error) for _ in calls]

        async def commit(node: Any, places: list[int]) -> None:
            async def send() -> list[Any]:
                until = asyncio.get_running_loop().time() + min(self._timeout_seconds, NODE_SECONDS)
                return await self._commit(node, [calls[at] for at in places], min(until, deadline))

            try:
                found = await silence.ask(node, send)
                silence.note(node, found)
            except redis.RedisError as error:
                found = [error] * len(places)
            for at, answer in zip(places, found, strict=True):
                answers[at] = answer

        await asyncio.gather(*[commit(node, places) for node, places in groups])
        note(self._client, answers)
        return [_decided(answer) for answer in answers]

    async def _commit(self, client: Any, calls: Sequence[Admit | AdmitOrders | Decide], deadline: float) -> list[Any]:
        """Runs calls on one node; returns an answer or an exception per call."""
        answers = await self._send(client, [call.command() for call in calls], deadline)
        missing = [index for index, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if missing:  # nothing of these ran
            again = [calls[index].command() for index in missing]
            # where loading failed, so does the call after it
            answered = await self._send(client, [*_LOADS, *again], deadline)
            for index, answer in zip(missing, answered[len(_LOADS) :], strict=True):
                answers[index] = answer
        return answers

    async def _send(self, client: Any, commands: list[list[Argument]], deadline: float) -> list[Any]:
        """Returns an answer or an exception per command.

        Speaks to a connection itself: a redis-py pipeline costs as much per event as all the rest of a commit.
        """
        if self._replicas:
            commands = [*commands, ["WAIT", self._replicas, self._replica_timeout_millis]]
        answers: list[Any] = []
        try:
            async with asyncio.timeout_at(deadline):  # one deadline for all of it, not a timer per answer
                connection = await client.connection_pool.get_connection()
                connection.socket_timeout = None
                try:
                    await connection.send_packed_command([_PACK(tuple(command)) for command in commands])
                    for _ in commands:
                        answers.append(await _answer(connection))
                except BaseException:
                    await connection.disconnect(nowait=True)  # what it still has to say belongs to these commands
                    raise
                finally:
                    await client.connection_pool.release(connection)
        except (redis.RedisError, TimeoutError) as error:
            answers += [error] * (len(commands) - len(answers))
        if not self._replicas:
            return answers
        reached = answers.pop()
        if isinstance(reached, int) and reached >= self._replicas:
            return answers
        missed = redis.RedisError(f"{reached} of {self._replicas} replicas have it")
        return [answer if isinstance(answer, Exception) else missed for answer in answers]


async def _answer(connection: Any) -> Any:
    """Returns an answer, or what Redis refused with; raises if the connection is lost."""
    try:
        return await connection.read_response(disable_decoding=True)
    except ResponseError as refusal:
        return refusal


def _decided(answer: Any) -> Decided | Undecided:
    if isinstance(answer, Exception):
        text = str(answer)
        # Redis 7 says it as an error of its own; before, it is part of what the script says.
        return Undecided(
            isinstance(answer, OutOfMemoryError) or "-OOM" in text, f"{type(answer).__name__}: {text}"[:200]
        )
    return Decided(int(answer[0]), answer[1], answer[2])
