"""Opens match keys: what a destination can recognise a person by, plain for as long as it takes to hash it.

The one rule: nothing is kept, logged or stored. Whose data key was destroyed, or has outlived its life, is recognised
by click and browser ids alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.dedup.v1.match_keys_pb2 import MatchKeys
from tributary.event.v1.context_pb2 import OBSERVER_BACKEND
from tributary.event.v1.identifiers_pb2 import Identifiers
from tributary_delivery.destinations.adapter import PersonKeys, PostalAddress
from tributary_domain.sealing import DataKey, SealError, name_of

log = structlog.get_logger(__name__)

Name = tuple[str, bytes]
Value = tuple[str, str]
"""A field of `event.v1.Identifiers`, and what it holds."""

_SINGLE: Final = ("email", "email_sha256", "phone", "phone_sha256", "visitor_id")
_LISTED: Final = ("apple_advertising_ids", "android_advertising_ids")
"""What destinations are told that may be somebody else's."""


class DataKeyStore(Protocol):
    """Where wrapped data keys are."""

    async def read(self, names: Sequence[Name]) -> dict[Name, bytes]:
        """Returns the stored keys of some names, without those that are gone.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        ...


class MatchKeyOpener:
    """Opens the match keys of conversions.

    Args:
        data_keys: Where their data keys are.
        wrapping_keys_of: Workspace -> the keys that may have wrapped those; none where match keys are not kept.
    """

    def __init__(self, data_keys: DataKeyStore, wrapping_keys_of: Callable[[str], Sequence[bytes]]) -> None:
        self._data_keys = data_keys
        self._wrapping_keys_of = wrapping_keys_of

    async def open(self, workspace: str, revisions: Sequence[ConversionRevised]) -> list[OpenedKeys]:
        """Returns what each conversion's person can be recognised by, in the order of the revisions.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        wrapping_keys = self._wrapping_keys_of(workspace)
        if not wrapping_keys:
            return [OpenedKeys()] * len(revisions)
        keys = await self._keys(workspace, wrapping_keys, revisions)
        return [OpenedKeys.of(one, keys) for one in revisions]

    async def _keys(
        self, workspace: str, wrapping_keys: Sequence[bytes], revisions: Sequence[ConversionRevised]
    ) -> dict[bytes, DataKey]:
        names: dict[Name, None] = {}
        for revised in revisions:
            match = revised.match
            others = [one.sealed for one in match.person_keys]
            for sealed in (*match.sealed_match_keys, match.sealed_device_keys, *others):
                if name := _name(sealed):
                    names[workspace, name] = None
        keys: dict[bytes, DataKey] = {}
        for (_, name), wrapped in (await self._data_keys.read(list(names))).items():
            try:
                keys[name] = DataKey(workspace, name, wrapped, wrapping_keys)
            except SealError:
                log.warning("data_key_not_opened", workspace=workspace)
        return keys


def _name(sealed: bytes) -> bytes:
    try:
        return name_of(sealed)
    except SealError:
        return b""


def _opened(sealed: Iterable[bytes], keys: dict[bytes, DataKey]) -> tuple[MatchKeys, ...]:
    opened = []
    for one in sealed:
        key = keys.get(_name(one))
        if key is not None:
            try:
                opened.append(MatchKeys.FromString(key.open(one)))
            except SealError:
                continue
    return tuple(opened)


@dataclass(frozen=True, slots=True, repr=False)
class OpenedKeys:
    """The opened match keys of one conversion."""

    own: tuple[MatchKeys, ...] = ()
    """Of its observations, oldest first."""
    device: tuple[MatchKeys, ...] = ()
    """Of its person's browser or app, where no observation was made by one."""
    others: tuple[tuple[int, MatchKeys], ...] = ()
    """Of other events of its person that name what no observation names, newest first, each with when it happened."""

    @classmethod
    def of(cls, revised: ConversionRevised, keys: dict[bytes, DataKey]) -> OpenedKeys:
        """Opens what the keys open."""
        match = revised.match
        return cls(
            _opened(match.sealed_match_keys, keys),
            _opened([match.sealed_device_keys], keys),
            tuple(
                (one.event_time.ToMicroseconds(), opened)
                for one in match.person_keys
                for opened in _opened([one.sealed], keys)
            ),
        )

    def events(self) -> Iterator[tuple[int, Identifiers]]:
        """Yields what names somebody, event by event, each with when that was left; 0: with the conversion itself."""
        yield from ((0, keys.identifiers) for keys in self.own)
        yield from ((time_micros, keys.identifiers) for time_micros, keys in self.others)

    def values(self) -> Iterator[Value]:
        """Yields what of it destinations are told and may be somebody else's."""
        return (value for _, identifiers in self.events() for value in _values(identifiers))

    def without(self, withheld: Collection[Value]) -> OpenedKeys:
        """Returns the same, but for some values."""
        others = tuple((time, _without(keys, withheld)) for time, keys in self.others)
        return OpenedKeys(tuple(_without(keys, withheld) for keys in self.own), self.device, others)

    def person(self) -> PersonKeys:
        """Unites what is known of a conversion's person: of what contradicts itself, the newest.

        Address and user agent are those of the conversion's own browser or app, else of the person's newest one.
        """
        own = [one.identifiers for one in reversed(self.own)]
        known = [*own, *(one.identifiers for _, one in self.others)]
        seen_by = [one for one in (*reversed(self.own), *self.device) if one.observed_by != OBSERVER_BACKEND]
        said = next((one.address.ListFields() for one in known if one.HasField("address")), None)
        address = None if said is None else PostalAddress(**{part.name: str(text) for part, text in said})
        emails = own if any(one.email or one.email_sha256 for one in own) else known
        phones = own if any(one.phone or one.phone_sha256 for one in own) else known
        return PersonKeys(
            emails=_distinct(one.email for one in emails),
            email_digests=_distinct(one.email_sha256.lower() for one in emails),
            phones=_distinct(one.phone for one in phones),
            phone_digests=_distinct(one.phone_sha256.lower() for one in phones),
            customer_id=next((one.customer_id for one in known if one.customer_id), ""),
            visitor_id=next((one.visitor_id for one in own if one.visitor_id), ""),
            apple_advertising_ids=_distinct(device for one in own for device in one.apple_advertising_ids),
            android_advertising_ids=_distinct(device for one in own for device in one.android_advertising_ids),
            address=address,
            client_ip=next((one.client_ip for one in seen_by if one.client_ip), ""),
            user_agent=next((one.user_agent for one in seen_by if one.user_agent), ""),
        )


def _values(identifiers: Identifiers) -> Iterator[Value]:
    for field in _SINGLE:
        if text := getattr(identifiers, field):
            yield field, text
    for field in _LISTED:
        yield from ((field, text) for text in getattr(identifiers, field))


def alone(value: Value) -> Identifiers:
    """Returns the identifiers of an event that names nobody else."""
    field, text = value
    identifiers = Identifiers()
    if field in _LISTED:
        getattr(identifiers, field).append(text)
    else:
        setattr(identifiers, field, text)
    return identifiers


def _without(keys: MatchKeys, withheld: Collection[Value]) -> MatchKeys:
    left = MatchKeys()
    left.CopyFrom(keys)
    for field, text in [value for value in _values(keys.identifiers) if value in withheld]:
        if field in _LISTED:
            getattr(left.identifiers, field).remove(text)
        else:
            setattr(left.identifiers, field, "")
    return left


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text in texts if text))
