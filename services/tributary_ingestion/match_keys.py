"""What a destination can recognise a person by: gathered before the event is stripped, sealed before it is stored.

The one rule: it leaves this process only under the data key of the event's first identity token. Without that key,
because the state store does not answer, the event is not accepted: an order without its match keys could never be
recognised, and nobody would know. Whoever's key is known here already is accepted all the same. What happened before
its person was erased is no person's any more: nothing of it is sealed, and no key is made for it, whoever sends it
again.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import structlog

from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary.dedup.v1.match_keys_pb2 import MatchKeys
from tributary.event.v1.context_pb2 import OBSERVER_BACKEND, OBSERVER_BROWSER, OBSERVER_UNSPECIFIED
from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.identifiers_pb2 import Identifiers
from tributary_domain import texts
from tributary_domain.advertising_ids import advertising_ids
from tributary_domain.sealing import KEY_BYTES, NONCE_BYTES, DataKey, SealError, key_name, wrap
from tributary_runtime.clock import Clock
from tributary_runtime.errors import PreconditionError, StorageUnavailableError
from tributary_storage.codec.framing import length_tag, varint
from tributary_storage.redis.data_keys import Candidate

if TYPE_CHECKING:  # intake makes what is sealed here
    from tributary_ingestion.packed import Packed
    from tributary_ingestion.workspace_rules import WorkspaceRules
    from tributary_storage.redis.data_keys import DataKeys

log = structlog.get_logger(__name__)

_TAG: Final = length_tag(AdmittedEvent.SEALED_MATCH_KEYS_FIELD_NUMBER)
_IDENTIFIERS_TAG: Final = length_tag(MatchKeys.IDENTIFIERS_FIELD_NUMBER)
_TELLING: Final = frozenset(("customer_id", "email", "email_sha256", "phone", "phone_sha256"))
_TELLING_AT: Final = tuple(at for at, name in enumerate(texts.IDENTIFIERS.names) if name in _TELLING)

_GENERATION_SECONDS: Final = 1_800
"""How long a data key is used without asking the store, while that is the same; at most twice as long. A key that was
destroyed meanwhile seals what nobody can read."""
_GENERATION_KEYS: Final = 100_000
_ASK_SECONDS: Final = 1.0
"""How often is asked whether the store is still the one that the known keys are from."""
_TIMEOUT_SECONDS: Final = 1.0
"""How long it may take to say so: all calls of this moment but one go on with the keys that are known."""


_SILENT: Final = "The state store did not answer in time; send the events again, with the same ids."


class PlainMatchKeys(NamedTuple):
    """What is to be sealed, and under which key."""

    name: bytes
    """Of the data key."""
    plain: bytes
    """A serialised `MatchKeys`."""
    event_micros: int = 0
    """When it happened."""


def match_keys_of(event: Event, readings: texts.Readings, workspace: str, identity_token: str) -> PlainMatchKeys | None:
    """Returns what is to be sealed of an event that has not been stripped; None if nothing in it tells who it was.

    Args:
        event: As sent.
        readings: Its texts.
        workspace: Whose event it is.
        identity_token: Its most telling one.
    """
    named = readings.get(texts.IDENTIFIERS)
    context = readings.get(texts.CONTEXT)
    client_ip = user_agent = ""
    observer = event.context.observed_by if context is not None else OBSERVER_UNSPECIFIED
    if observer == OBSERVER_UNSPECIFIED:
        observer = OBSERVER_BROWSER if event.HasField("touchpoint") else OBSERVER_BACKEND
    if context is not None and observer != OBSERVER_BACKEND:
        client_ip, user_agent = context[0][:2]
    is_named = texts.ADDRESS in readings or (named is not None and is_telling(named[0]))
    is_named = is_named or _has_advertising_id(event.identifiers)
    if not (is_named or client_ip or user_agent):
        return None
    keys = MatchKeys(client_ip=client_ip, user_agent=user_agent, observed_by=observer)
    if named is not None:
        keys.identifiers.CopyFrom(event.identifiers)
        keys.identifiers.DiscardUnknownFields()
    time = event.event_time
    micros = time.seconds * 1_000_000 + time.nanos // 1_000
    return PlainMatchKeys(key_name(workspace, identity_token), keys.SerializeToString(), micros)


def _has_advertising_id(identifiers: Identifiers) -> bool:
    apple, android = identifiers.apple_advertising_ids, identifiers.android_advertising_ids
    return bool((apple or android) and advertising_ids(apple, android).all)


def is_telling(identifiers: Sequence[str]) -> bool:
    """Tells whether a destination may recognise a person by the texts of `texts.IDENTIFIERS`."""
    return any(identifiers[at] for at in _TELLING_AT)


def match_keys_of_visit(
    client_ip: str,
    user_agent: str,
    observed_by: int,
    identifiers: bytes,
    name: bytes,
    event_micros: int,
    *,
    is_telling: bool,
) -> PlainMatchKeys | None:
    """Returns what `match_keys_of` does for a touchpoint.

    Args:
        client_ip: Of its context.
        user_agent: Of its context.
        observed_by: Of its context.
        identifiers: Its serialised `Identifiers`, with nothing unknown in them and no postal address.
        name: Of the data key.
        event_micros: When it happened.
        is_telling: Whether anything in the identifiers is.
    """
    if observed_by == OBSERVER_BACKEND:
        client_ip = user_agent = ""
    if not (is_telling or client_ip or user_agent):
        return None
    observer: Any = observed_by or OBSERVER_BROWSER
    keys = MatchKeys(client_ip=client_ip, user_agent=user_agent, observed_by=observer)
    plain = b"".join((_IDENTIFIERS_TAG, varint(len(identifiers)), identifiers, keys.SerializeToString()))
    return PlainMatchKeys(name, plain, event_micros)


class Sealed(NamedTuple):
    """The match keys of one call's events."""

    fields: Sequence[bytes]
    """Per event what was to be sealed, as a field of its `AdmittedEvent`; empty where there is nothing."""
    unsealed: Sequence[int] = ()
    """Places of events that must not be accepted now: what is to be sealed of them is not."""
    retry_delay_seconds: float = 0.0
    """When to send these again."""


class Sealing:
    """Seals the match keys of packed events.

    Args:
        data_keys: Returns the store of data keys; raises `StorageUnavailableError` while there is none. Another object
            than before: another store, which may not have the keys of the one before.
        clock: Ages what is cached.
    """

    def __init__(self, data_keys: Callable[[], Awaitable["DataKeys"]], clock: Clock) -> None:
        self._data_keys = data_keys
        self._clock = clock
        self._store: DataKeys | None = None
        self._asked = -_ASK_SECONDS
        self._born = clock.monotonic_seconds()
        self._young: dict[tuple[str, bytes], bytes] = {}
        """Workspace and name of a data key -> its bytes: ready to use, each would take twenty times as much memory."""
        self._old: dict[tuple[str, bytes], bytes] = {}

    async def seal(self, packed: Sequence["Packed"], rules: "WorkspaceRules") -> Sealed:
        """Returns what was to be sealed of each event.

        Asks the store only for new people: while it does not answer, theirs are unsealed, and no one else's; while a
        node of a cluster does not, theirs alone whose keys lie on it. Nothing is sealed of what happened before its
        person was erased.

        Raises:
            StorageUnavailableError: Nothing of all that is to be sealed can be, and there is nothing else.
            PreconditionError: The workspace's data key is another than before, or the state store was never migrated.
        """
        plain = [one.match_keys for one in packed]
        some = [one for one in plain if one is not None]
        if not some:
            return Sealed([b""] * len(packed))
        refusal = await self._ask_for_another()
        keys, missing = self._known(some, rules)
        if missing and refusal is None:  # else it was asked a moment ago
            try:
                keys |= await self._obtain(missing, rules)
            except StorageUnavailableError as error:
                refusal = error
        unsealed = [at for at, one in enumerate(plain) if one and one.name not in keys] if missing else []
        delay = 0.0
        if unsealed:
            refusal = refusal or StorageUnavailableError(_SILENT, metadata={"store": "state"})
            if len(unsealed) == len(packed):
                raise refusal
            log.warning("match_keys_unsealed", workspace=rules.workspace_id, events=len(unsealed))
            delay = refusal.retry_delay_seconds
        chance = os.urandom(NONCE_BYTES * len(packed))
        nonces = [chance[at : at + NONCE_BYTES] for at in range(0, len(chance), NONCE_BYTES)]
        fields = [
            b"" if one is None or (key := keys.get(one.name)) is None else _as_field(key.seal(one.plain, nonce))
            for one, nonce in zip(plain, nonces, strict=True)
        ]
        return Sealed(fields, unsealed, delay)

    async def _ask_for_another(self) -> StorageUnavailableError | None:
        """Forgets the known keys where the store is not the one that they are from; asks now and then.

        Returns:
            Why it does not say. It may be the same: what is known goes on until it says otherwise.
        """
        now = self._clock.monotonic_seconds()
        if self._store is None or now - self._asked < _ASK_SECONDS:
            return None
        self._asked = now  # first: nobody else waits
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                store = await self._data_keys()
        except StorageUnavailableError as error:
            return error
        except TimeoutError:
            return StorageUnavailableError(_SILENT, metadata={"store": "state"})
        finally:
            self._asked = self._clock.monotonic_seconds()
        self._keep(store)
        return None

    def _keep(self, store: "DataKeys") -> None:
        if store is not self._store:
            if self._store is not None:
                log.warning("data_keys_forgotten", keys=len(self._young) + len(self._old))
            self._store, self._young, self._old = store, {}, {}

    def _known(
        self, some: Iterable[PlainMatchKeys], rules: "WorkspaceRules"
    ) -> tuple[dict[bytes, DataKey | None], dict[tuple[str, bytes], int]]:
        """Returns the keys that are known, by name, and of each other one when the newest happened that it is for."""
        self._age()
        workspace, young, old = rules.workspace_id, self._young, self._old
        found: dict[bytes, DataKey | None] = {}
        missing: dict[tuple[str, bytes], int] = {}
        for name, _, micros in some:
            if name in found:
                continue
            plain = young.get((workspace, name)) or old.get((workspace, name))
            if plain is not None:
                found[name] = DataKey(workspace, name, b"", (), plain)
            else:
                missing[workspace, name] = max(micros, missing.get((workspace, name), 0))
        return found, missing

    async def _obtain(
        self, missing: Mapping[tuple[str, bytes], int], rules: "WorkspaceRules"
    ) -> dict[bytes, DataKey | None]:
        """Returns the key of each name from the store; None where all of it happened before its person was erased.

        Names are missing whose node of a cluster does not answer.
        """
        store = await self._data_keys()
        self._keep(store)
        chance, key_of_now = os.urandom(KEY_BYTES * len(missing)), rules.wrapping_keys[0]
        made = {place: chance[at * KEY_BYTES : (at + 1) * KEY_BYTES] for at, place in enumerate(missing)}
        wanted = {place: Candidate(wrap(plain, key_of_now), missing[place]) for place, plain in made.items()}
        found: dict[bytes, DataKey | None] = {}
        stale: dict[tuple[str, bytes], tuple[bytes, bytes]] = {}
        for place, wrapped in (await store.obtain(wanted, rules.match_key_seconds)).items():
            if not wrapped:
                found[place[1]] = None
                continue
            own = made[place] if wrapped == wanted[place].wrapped else b""
            key = found[place[1]] = _data_key(place[1], wrapped, rules, own)
            if store is self._store:  # else it may be of one that is gone
                self._young[place] = key.plain
            if key.rewrapped:
                stale[place] = wrapped, key.rewrapped
        await store.rewrap(stale)
        return found

    def _age(self) -> None:
        now = self._clock.monotonic_seconds()
        if now - self._born > _GENERATION_SECONDS or len(self._young) > _GENERATION_KEYS:
            self._old = self._young if now - self._born <= 2 * _GENERATION_SECONDS else {}
            self._young, self._born = {}, now


def _as_field(sealed: bytes) -> bytes:
    return b"".join((_TAG, varint(len(sealed)), sealed))


def _data_key(name: bytes, wrapped: bytes, rules: "WorkspaceRules", plain: bytes) -> DataKey:
    try:
        return DataKey(rules.workspace_id, name, wrapped, rules.wrapping_keys, plain)
    except SealError as error:
        message = (
            f"data_key of workspace {rules.workspace_id} is not the one that earlier match keys were sealed under; "
            "list that one under previous_data_keys."
        )
        raise PreconditionError(message, subject="data_key", reason="DATA_KEY_CHANGED") from error
