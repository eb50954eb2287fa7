"""Opens match keys: what a destination can recognise a person by, plain for as long as it takes to hash it.

The one rule: nothing is kept, logged or stored. Whose data key was destroyed, or has outlived its life, is recognised
by click and browser ids alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import structlog

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.dedup.v1.match_keys_pb2 import MatchKeys
from tributary.event.v1.context_pb2 import OBSERVER_BACKEND
from tributary_delivery.destinations.adapter import PersonKeys, PostalAddress
from tributary_domain.sealing import DataKey, SealError, name_of

log = structlog.get_logger(__name__)

Name = tuple[str, bytes]


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

    async def open(self, workspace: str, revisions: Sequence[ConversionRevised]) -> list[PersonKeys]:
        """Returns what each conversion's person can be recognised by, in the order of the revisions.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        wrapping_keys = self._wrapping_keys_of(workspace)
        if not wrapping_keys:
            return [PersonKeys()] * len(revisions)
        keys = await self._keys(workspace, wrapping_keys, revisions)
        return [_person(_opened(_sealed(one), keys), _device(one, keys)) for one in revisions]

    async def _keys(
        self, workspace: str, wrapping_keys: Sequence[bytes], revisions: Sequence[ConversionRevised]
    ) -> dict[bytes, DataKey]:
        names: dict[Name, None] = {}
        for revised in revisions:
            for sealed in (*revised.match.sealed_match_keys, revised.match.sealed_device_keys):
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


def _sealed(revised: ConversionRevised) -> Sequence[bytes]:
    return revised.match.sealed_match_keys


def _opened(sealed: Iterable[bytes], keys: dict[bytes, DataKey]) -> list[MatchKeys]:
    opened = []
    for one in sealed:
        key = keys.get(_name(one))
        if key is not None:
            try:
                opened.append(MatchKeys.FromString(key.open(one)))
            except SealError:
                continue
    return opened


def _device(revised: ConversionRevised, keys: dict[bytes, DataKey]) -> list[MatchKeys]:
    return _opened([revised.match.sealed_device_keys], keys)


def _person(own: Sequence[MatchKeys], device: Sequence[MatchKeys]) -> PersonKeys:
    """Unites what the observations of a conversion say of its person: of what contradicts itself, the newest.

    Args:
        own: Of the conversion's observations, oldest first.
        device: Of the person's browser or app, where no observation of the conversion was made by one.
    """
    newest_first = [one.identifiers for one in reversed(own)]
    seen_by = [one for one in (*reversed(own), *device) if one.observed_by != OBSERVER_BACKEND]
    address = next((one.address for one in newest_first if one.HasField("address")), None)
    return PersonKeys(
        emails=_distinct(one.email for one in newest_first),
        email_digests=_distinct(one.email_sha256.lower() for one in newest_first),
        phones=_distinct(one.phone for one in newest_first),
        phone_digests=_distinct(one.phone_sha256.lower() for one in newest_first),
        customer_id=next((one.customer_id for one in newest_first if one.customer_id), ""),
        visitor_id=next((one.visitor_id for one in newest_first if one.visitor_id), ""),
        device_ids=_distinct(device_id for one in newest_first for device_id in one.device_ids),
        address=None
        if address is None
        else PostalAddress(**{field.name: str(text) for field, text in address.ListFields()}),
        client_ip=next((one.client_ip for one in seen_by if one.client_ip), ""),
        user_agent=next((one.user_agent for one in seen_by if one.user_agent), ""),
    )


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text in texts if text))
