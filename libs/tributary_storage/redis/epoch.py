"""The epoch of an installation: which data a Redis holds, and the constants that live claims depend on.

The one rule: only `tributary migrate` writes it, and its shard count never changes. A Redis without an epoch, or with
another one than a process started with, is not the one whose data was acknowledged.

On a cluster copies of it lie on the other nodes, so that who begins while its node is silent, or was emptied, knows
what the others hold.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import redis.asyncio
import structlog

from tributary_domain.shards import MAX_BUCKET_BITS
from tributary_runtime.errors import PreconditionError, StorageUnavailableError
from tributary_storage.redis import keys
from tributary_storage.redis.cluster import ClusterRedis
from tributary_storage.redis.scripts import Script

log = structlog.get_logger(__name__)

Role = Literal["log", "state", "jobs"]
"""What a Redis is used for; one server may play all."""

MAX_SHARDS: Final = 64
"""A claim has 6 bits for a home shard."""

_CREATE = Script("create_epoch")


@dataclass(frozen=True, slots=True)
class Epoch:
    """What `trb:epoch` says."""

    epoch_id: str
    """Names this set of data; the same in every role of an installation."""
    shards: int
    """How many shards each of the log, people and conversions have: 1 to 64."""
    claim_bucket_bits: int
    """How many buckets of claims a shard has, as a power of two (`claim_sizing.bucket_bits`)."""
    create_time_micros: int
    """When it was created, microseconds since 1970."""
    loss_time_micros: int = field(default=0, compare=False)
    """When an operator confirmed that this Redis had lost data, by its clock; 0: never. Differs between roles."""

    def __post_init__(self) -> None:
        """Refuses constants that claims cannot be kept under."""
        if not 1 <= self.shards <= MAX_SHARDS:
            raise ValueError(f"shards must be 1 to {MAX_SHARDS}, not {self.shards}")
        if not 0 <= self.claim_bucket_bits <= MAX_BUCKET_BITS:
            raise ValueError(f"claim_bucket_bits must be 0 to {MAX_BUCKET_BITS}, not {self.claim_bucket_bits}")


async def create_epoch(clients: Mapping[Role, redis.asyncio.Redis], wanted: Epoch) -> Epoch:
    """Writes the epoch into every role, or completes one that a broken run left in some of them; for `migrate` only.

    Args:
        clients: The Redis of each role.
        wanted: With a new id; used only where none of the roles has an epoch yet.

    Returns:
        The epoch that holds now: the one that was there, or `wanted`.

    Raises:
        PreconditionError: There is one with another shard count or bucket size, or the roles are of different
            installations. Nothing was changed that mattered.
        StorageUnavailableError: A Redis did not answer; run it again.
    """
    found = [epoch for epoch in [await read_epoch(client) for client in clients.values()] if epoch is not None]
    for epoch in found:
        _require_like(epoch, wanted)
    epoch = found[0] if found else wanted
    for role, client in clients.items():
        known = await read_epoch(client)  # of a cluster it may be known from copies alone, with its last loss
        fields = _fields(epoch) | ({"loss_time": known.loss_time_micros} if known and known.loss_time_micros else {})
        arguments = [text for pair in fields.items() for text in pair]
        try:
            _, flat = await _CREATE(client, [keys.EPOCH], [role, *arguments])
        except redis.RedisError as error:
            raise _unavailable(role) from error
        written = _epoch(dict(zip(flat[::2], flat[1::2], strict=True)))
        if written.epoch_id != epoch.epoch_id:
            message = (
                f"The Redis of role {role} belongs to another installation (epoch {written.epoch_id}, not "
                f"{epoch.epoch_id}): correct its URL, or give it an empty database."
            )
            raise PreconditionError(message, subject=f"redis:{role}", reason="EPOCH_DIFFERS")
        await _copy(client, role, dict(zip(flat[::2], flat[1::2], strict=True)))
    return epoch


async def confirm_loss(client: redis.asyncio.Redis, role: Role) -> int:
    """Notes in a role's epoch that what it had before this moment may be lost; for `migrate` only.

    Returns:
        The moment, by the clock of this Redis, microseconds since 1970.

    Raises:
        PreconditionError: It has no epoch.
        StorageUnavailableError: It did not answer.
    """
    epoch = await require_epoch(client, role)
    try:
        seconds, micros = await client.time()
        moment = int(seconds) * 1_000_000 + int(micros)
        fields: dict[Any, Any] = {**_fields(epoch), "loss_time": moment}  # all: the node of one may have been emptied
        await _copy(client, role, fields)  # first: who sees the epoch's sees all
        await client.hset(keys.EPOCH, mapping=fields)
    except redis.RedisError as error:
        raise _unavailable(role) from error
    return moment


async def read_epoch(client: redis.asyncio.Redis) -> Epoch | None:
    """Reads the epoch of one Redis; None if it has none.

    Of a cluster, whose node that has it does not answer, or was emptied, a copy: the one that knows of the last loss.

    Raises:
        StorageUnavailableError: The Redis did not answer.
    """
    try:
        fields: Any = await client.hgetall(keys.EPOCH)
    except redis.RedisError as error:
        found = _newest(await _copies(client))
        if found is None:
            raise _unavailable("") from error
        return found
    return _epoch(fields) if fields else _newest(await _copies(client))


async def require_epoch(client: redis.asyncio.Redis, role: Role) -> Epoch:
    """Reads the epoch that a service needs before it can start.

    Raises:
        PreconditionError: There is none: `migrate` was not run, or this is another Redis.
        StorageUnavailableError: The Redis did not answer.
    """
    epoch = await read_epoch(client)
    if epoch is None:
        message = f"The Redis of role {role} has no epoch: run `tributary migrate`, or correct its URL."
        raise PreconditionError(message, subject=f"redis:{role}", reason="EPOCH_MISSING")
    return epoch


async def wait_for_epoch(client: redis.asyncio.Redis, role: Role) -> Epoch:
    """Returns the epoch as soon as there is one: a service may start before its Redis, or before `migrate`.

    Says once a minute what it waits for; never raises.
    """
    tries = 0
    while True:
        try:
            return await require_epoch(client, role)
        except (PreconditionError, StorageUnavailableError) as error:
            if tries % 60 == 0:
                log.warning("waiting_for_epoch", role=role, reason=error.message)
        tries += 1
        await asyncio.sleep(1.0)


async def _copy(client: redis.asyncio.Redis, role: Role, fields: Mapping[Any, Any]) -> None:
    """Writes fields of the epoch into its copies, where there are to be any."""
    if not isinstance(client, ClusterRedis):
        return
    pipeline = client.pipeline(transaction=False)
    for copy in keys.EPOCH_COPIES:
        pipeline.hset(copy, mapping=fields)
    try:
        await pipeline.execute()
    except redis.RedisError as error:
        raise _unavailable(role) from error


def _newest(copies: Sequence[Mapping[bytes, bytes]]) -> Epoch | None:
    return max(map(_epoch, copies), key=lambda one: one.loss_time_micros, default=None)


async def _copies(client: redis.asyncio.Redis) -> list[Mapping[bytes, bytes]]:
    """Returns the copies of the epoch that a cluster's nodes answer with; none of a single Redis."""
    if not isinstance(client, ClusterRedis):
        return []
    pipeline = client.pipeline(transaction=False)
    for copy in keys.EPOCH_COPIES:
        pipeline.hgetall(copy)
    answers = await pipeline.execute(raise_on_error=False)
    return [one for one in answers if not isinstance(one, Exception) and b"epoch_id" in one]


def _require_like(epoch: Epoch, wanted: Epoch) -> None:
    for name in ("shards", "claim_bucket_bits"):
        is_, asked = getattr(epoch, name), getattr(wanted, name)
        if is_ != asked:
            message = (
                f"This installation has {name} = {is_}; it never changes under live claims, so {asked} is refused."
            )
            raise PreconditionError(message, subject="epoch", reason="EPOCH_DIFFERS")


def _fields(epoch: Epoch) -> dict[str, str | int]:
    return {
        "epoch_id": epoch.epoch_id,
        "shards": epoch.shards,
        "claim_bucket_bits": epoch.claim_bucket_bits,
        "create_time": epoch.create_time_micros,
    }


def _epoch(fields: Mapping[bytes, bytes]) -> Epoch:
    return Epoch(
        epoch_id=fields[b"epoch_id"].decode(),
        shards=int(fields[b"shards"]),
        claim_bucket_bits=int(fields[b"claim_bucket_bits"]),
        create_time_micros=int(fields[b"create_time"]),
        loss_time_micros=int(fields.get(b"loss_time", 0)),
    )


def _unavailable(role: str) -> StorageUnavailableError:
    message = "A Redis did not answer when asked for its epoch; see that it runs, then try again."
    return StorageUnavailableError(message, metadata={"store": role} if role else {})
