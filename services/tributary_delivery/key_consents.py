"""Match keys that are somebody else's: each is told only as far as they allow whom it is linked with.

The one rule: consent is given and taken back under an identifier, and who withdrew theirs is recognised by it nowhere.
A conversion can name an address that is linked with another person: a family's, a colleague's, one that identity keeps
apart. What they do not allow holds up nobody else's conversion: it is told without that key.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_delivery.attempt import Attempt
from tributary_delivery.destinations.adapter import Permits, PersonKeys
from tributary_delivery.match_keys import OpenedKeys, Value, alone
from tributary_delivery.permissions import Permissions, without_homes
from tributary_domain.consent import DENIED
from tributary_domain.identifiers import CUSTOMER, Identification
from tributary_domain.ties import type_of
from tributary_runtime.batch_destinations import BatchDestination
from tributary_runtime.workspaces import Workspace
from tributary_storage.redis.ties import person_key

Opened = tuple[ConversionRevised, OpenedKeys]
"""A conversion as it may be told, and its match keys."""
Told = tuple[ConversionRevised, PersonKeys]
"""The same, with those of them that may leave."""


class KeyConsents:
    """Leaves out what may not leave.

    Args:
        permissions: Asks the consent ledger.
        identification_of: Workspace -> what makes its identity tokens; None: there is no such workspace.
    """

    def __init__(self, permissions: Permissions, identification_of: Callable[[str], Identification | None]) -> None:
        self._permissions = permissions
        self._identification_of = identification_of

    async def heed(
        self,
        workspace: str,
        settings: BatchDestination,
        attempts: Sequence[Attempt],
        opened: Sequence[Sequence[Opened]],
    ) -> list[tuple[Attempt, list[Told]]]:
        """Returns attempts, with whom they name, and the ways in which each may be told.

        Args:
            workspace: Whose.
            settings: Of the destination.
            attempts: What is to be told, of which its own people were asked.
            opened: Of each, the ways that there are.

        Raises:
            StorageUnavailableError: Nobody can tell now.
        """
        identification = self._identification_of(workspace)
        named = [_named(workspace, ways, identification) for ways in opened]
        asked = [
            (one.revised, {} if one.permits is None else without_homes(own, one.permits))
            for one, own in zip(attempts, named, strict=True)
        ]
        answers = await self._permissions.of_names(workspace, asked, settings.tcf_vendor)
        heeded = []
        for one, ways, own, answer in zip(attempts, opened, named, answers, strict=True):
            permits = one.permits and replace(one.permits, names=answer)
            withheld: set[Value] = set()
            if permits and answer:  # of most nobody else decided anything, and which value is whose need not be known
                whose = _whose(workspace, ways, identification)
                withheld = {value for value, name in whose.items() if is_withheld(name, permits, settings)}
            told = [(revised, (keys.without(withheld) if withheld else keys).person()) for revised, keys in ways]
            heeded.append((replace(one, permits=permits, named=own, lacks_keys=bool(withheld)), told))
        return heeded


def identifications(find: Callable[[str], Workspace | None]) -> Callable[[str], Identification | None]:
    """Returns what tells how the identity tokens of a workspace are made; of one that the file lacks, nothing."""
    made: dict[str, tuple[Workspace, Identification]] = {}

    def of(workspace_id: str) -> Identification | None:
        workspace = find(workspace_id)
        if workspace is None:
            return None
        known = made.get(workspace_id)
        if known is None or known[0] is not workspace:
            pepper = workspace.pepper.reveal().encode()
            own = Identification(pepper, workspace.default_region, blocked=None)  # they may have decided before
            known = made[workspace_id] = workspace, own
        return known[1]

    return of


def _named(workspace: str, ways: Sequence[Opened], identification: Identification | None) -> dict[str, int]:
    """Returns under which names the consent ledger has what the match keys name, each with when it was left.

    0: with the conversion, whenever else. Whose the customer id is, the conversion is.
    """
    found: dict[str, int] = {}
    if identification is None:
        return found
    for left_micros, identifiers in (event for _, keys in ways for event in keys.events()):
        for token in identification.identify(identifiers).tokens:
            if type_of(token) != CUSTOMER:
                name = person_key(workspace, token)
                found[name] = min(left_micros, found.get(name, left_micros))
    return found


def _whose(workspace: str, ways: Sequence[Opened], identification: Identification | None) -> dict[Value, str]:
    """Returns under which name the consent ledger has each match key; what cannot be read has none."""
    if identification is None:
        return {}
    return {
        value: person_key(workspace, token)
        for value in {value for _, keys in ways for value in keys.values()}
        for token in identification.identify(alone(value)).tokens
    }


def is_withheld(name: str, permits: Permits, settings: BatchDestination) -> bool:
    """Tells whether whose a match key is allows less than those whose conversion it is: an objection counts for ads."""
    own = permits.names.get(name)
    if own is None:
        return False
    is_objecting = own.is_opted_out and not permits.is_opted_out
    is_impersonal = own.ad_personalization == DENIED and permits.ad_personalization != DENIED
    return own.basis == DENIED or (not settings.has_objects and (is_objecting or is_impersonal))
