"""May what is about to be sent leave: the consent ledger, asked last before HTTP.

The one rule: the most restrictive of what was said with the conversion and of what its person said later. A later grant
never upgrades what was collected without it. Where something of somebody else is said with it, they have to allow that
as well; of an identifier that is linked with somebody else they are asked by themselves, for it can be left out. Fails
closed: while the ledger cannot be read, or was lost and not read back yet, nothing leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final, NamedTuple

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_delivery.candidates import said_with
from tributary_delivery.destinations.adapter import Permits
from tributary_delivery.withheld import withheld_until
from tributary_domain.consent import DENIED, GRANTED, UNSAID, Assumed, Purpose, Timeline, state_when_leaving
from tributary_domain.consent_strings import said_by
from tributary_domain.vendor_consent import VendorDecision, timeline_of
from tributary_runtime.errors import StorageUnavailableError
from tributary_storage.redis.consents import Consents, Ledger
from tributary_storage.redis.people import People
from tributary_storage.redis.ties import person_key

_SILENT: Final = Ledger([], [])
"""Of who decided nothing."""
_NOTHING_ASSUMED: Final = Assumed()
_NO_OTHERS: Final[Mapping[str, Sequence[ConversionRevised]]] = MappingProxyType({})
_NOT_NAMED: Final[Mapping[str, Mapping[str, int]]] = MappingProxyType({})


class _Said(NamedTuple):
    """What somebody decided."""

    ledger: Ledger
    homes: Sequence[str]
    """Under which identifiers they may have."""


_NOBODY: Final = _Said(_SILENT, ())


class Permissions:
    """Asks the consent ledger about conversions.

    Args:
        people: Knows under which identifiers a person may have decided.
        consents: The ledger.
        assumed_of: Workspace -> what its people are assumed to consent to.
        loss_micros: Tells when the last confirmed loss of the state store was; 0: there was none.
    """

    def __init__(
        self,
        people: People,
        consents: Consents,
        assumed_of: Callable[[str], Assumed],
        loss_micros: Callable[[], int] = lambda: 0,
    ) -> None:
        self._people = people
        self._consents = consents
        self._assumed_of = assumed_of
        self._loss_micros = loss_micros
        self._restored_micros = 0

    async def read(
        self,
        workspace: str,
        revisions: Sequence[ConversionRevised],
        vendor: int | None = None,
        others: Mapping[str, Sequence[ConversionRevised]] = _NO_OTHERS,
        named: Mapping[str, Mapping[str, int]] = _NOT_NAMED,
    ) -> dict[str, Permits]:
        """Returns what is allowed now, by conversion id.

        Args:
            workspace: Whose.
            revisions: Of conversions.
            vendor: Who is to be told, by the number in the IAB's list; None: it has none.
            others: By conversion id: of what else something is said with it, as when that was collected.
            named: By conversion id: the identifiers among its match keys, as `of_names`.

        Raises:
            StorageUnavailableError: Nobody can tell now.
        """
        await self._require_restored()
        asked = [*revisions, *(other for own in others.values() for other in own)]
        people = {name for one in asked for name in _people_in(one)}
        said = await self._decisions(workspace, sorted(people))
        assumed = self._assumed_of(workspace)

        def own_permits(one: ConversionRevised) -> Permits:
            allowed = permits_of(one, said.get(one.state.person_id, _NOBODY).ledger, assumed, vendor)
            for name in one.match.person_ids:
                of_other = permits_of(one, said.get(name, _NOBODY).ledger, assumed, vendor)
                allowed = strictest(allowed, of_other, is_same_person=False)
            return allowed

        permits = []
        for one in revisions:
            allowed, told_of = own_permits(one), others.get(one.state.conversion_id, ())
            for other in told_of:
                is_same = other.state.person_id in ("", one.state.person_id)
                allowed = strictest(allowed, own_permits(other), is_same_person=is_same)
            homes = {home for each in (one, *told_of) for name in _people_in(each) for home in said[name].homes}
            permits.append(replace(allowed, homes=frozenset(homes)))
        asked_apart = [
            (one, without_homes(named.get(one.state.conversion_id, {}), own))
            for one, own in zip(revisions, permits, strict=True)
        ]
        names = await self.of_names(workspace, asked_apart, vendor)
        return {
            one.state.conversion_id: replace(own, names=of_others)
            for one, own, of_others in zip(revisions, permits, names, strict=True)
        }

    async def of_names(
        self, workspace: str, named: Sequence[tuple[ConversionRevised, Mapping[str, int]]], vendor: int | None = None
    ) -> list[dict[str, Permits]]:
        """Returns what those allow whom identifiers among match keys are linked with; of who decided nothing, nothing.

        Args:
            workspace: Whose.
            named: Conversions, each with identifiers that were not asked with its own people, by `ties.person_key`: and
                when each was left, in microseconds; 0: with the conversion.
            vendor: Who is to be told, as of `read`.

        Raises:
            StorageUnavailableError: Nobody can tell now.
        """
        said = await self._decisions(workspace, sorted({name for _, names in named for name in names}))
        return [
            {
                name: permits_of(_as_left(revised, left_micros), ledger, _NOTHING_ASSUMED, vendor)
                for name, left_micros in names.items()
                if (ledger := said[name].ledger) != _SILENT
            }
            for revised, names in named
        ]

    async def _decisions(self, workspace: str, person_ids: Sequence[str]) -> dict[str, _Said]:
        """Returns what people decided, under whatever identifier."""
        if not person_ids:
            return {}
        owners = await self._people.ties.owners(person_ids)
        linked = {name: (workspace, token) for name, token in zip(person_ids, owners, strict=True) if token is not None}
        people = await self._people.people_of(set(linked.values())) if linked else {}
        homes = {
            name: [name, *(person_key(workspace, token) for token in people[linked[name]].tokens)]
            if name in linked
            else [name]
            for name in person_ids
        }
        wanted = sorted({home for own in homes.values() for home in own})
        found = dict(zip(wanted, await self._consents.read_people(wanted), strict=True))
        return {name: _Said(_together(found[home] for home in own), own) for name, own in homes.items()}

    async def _require_restored(self) -> None:
        loss_micros = self._loss_micros()
        if loss_micros > self._restored_micros:
            if await self._consents.restored_micros() < loss_micros:
                message = "The consent ledger was lost and is not read back from ClickHouse yet; nothing is sent."
                raise StorageUnavailableError(message, metadata={"store": "state"})
            self._restored_micros = loss_micros


def without_homes(named: Mapping[str, int], permits: Permits) -> Mapping[str, int]:
    """Returns the identifiers that were not asked with a conversion's own people."""
    return {name: left_micros for name, left_micros in named.items() if name not in permits.homes}


def _people_in(revised: ConversionRevised) -> Iterable[str]:
    """Yields whom something in a conversion is of."""
    return (name for name in (revised.state.person_id, *revised.match.person_ids) if name)


def _as_left(revised: ConversionRevised, left_micros: int) -> ConversionRevised:
    """Returns what consent is asked of: the conversion, or another event, with which nothing is known to be said."""
    if not left_micros:
        return revised
    event = ConversionRevised()
    event.state.conversion_time.FromMicroseconds(left_micros)
    return event


def _together(ledgers: Iterable[Ledger]) -> Ledger:
    """Returns what was decided under all identifiers of a person."""
    held = list(ledgers)
    return Ledger([one for own in held for one in own.decisions], [one for own in held for one in own.of_vendors])


def is_vendor_denied(revised: ConversionRevised, decisions: Sequence[VendorDecision], vendor: int | None) -> bool:
    """Tells whether a consent string keeps a vendor from being told of a conversion: its own, or a later one.

    Args:
        revised: With the strings as they came.
        decisions: Of its person on vendors, before and after.
        vendor: Its number in the IAB's list; None: it has none, and no string can name it.
    """
    if vendor is None:
        return False
    strings = said_by(revised.match.consent.tcf_string, revised.match.consent.gpp_string)
    said = UNSAID if strings.vendors is None else GRANTED
    if not strings.allows(vendor) or vendor in revised.match.denied_vendors:
        said = DENIED
    return _leaves(revised, said, timeline_of(decisions, vendor), UNSAID) == DENIED


def _leaves(revised: ConversionRevised, said: int, timeline: Timeline, assumed: int) -> int:
    """Returns the state under which a conversion may leave."""
    own = revised.match.consent
    own_micros = own.consent_time.ToMicroseconds() if own.HasField("consent_time") else 0
    return state_when_leaving(said, own_micros, revised.state.conversion_time.ToMicroseconds(), timeline, assumed)


def why_not(revised: ConversionRevised, permits: Permits) -> str:
    """Returns why a conversion may not leave, for who has to explain that.

    Args:
        revised: With what was said.
        permits: What is allowed of it now, which is not enough.
    """
    if permits.is_vendor_denied and permits.ad_user_data != DENIED:
        return "a consent string of the person, of then or later, does not name the destination (tcf_vendor)"
    if said_with(revised) == DENIED:
        in_words = revised.match.consent.ad_user_data == DENIED
        return f"ad_user_data was denied with the conversion, in {'words' if in_words else 'its consent string'}"
    if permits.ad_user_data == DENIED:
        return "the person denied ad_user_data, before or since, or nothing was said and consent_defaults deny it"
    return "nothing was said of ad_user_data, and the destination needs a grant (needs_consent_grant)"


def permits_of(revised: ConversionRevised, ledger: Ledger, assumed: Assumed, vendor: int | None = None) -> Permits:
    """Returns what is allowed of a conversion.

    Args:
        revised: With what was said, in states and in strings: the stricter of them holds.
        ledger: What its person decided, before and after.
        assumed: Where nothing was said.
        vendor: Who is to be told, by the number in the IAB's list; None: it has none.
    """
    own = revised.match.consent
    strings = said_by(own.tcf_string, own.gpp_string)

    def state(said: int, purpose: Purpose) -> int:
        default = assumed.state(own.region, purpose)
        return _leaves(revised, said, Timeline(ledger.decisions, purpose), default)

    # Selling and sharing is objected to, never assumed to be: silence is no objection.
    sale = _leaves(revised, own.sale_or_sharing, Timeline(ledger.decisions, Purpose.SALE_OR_SHARING), UNSAID)
    return Permits(
        state(max(own.ad_user_data, strings.ad_user_data), Purpose.AD_USER_DATA),
        state(max(own.ad_personalization, strings.ad_personalization), Purpose.AD_PERSONALIZATION),
        is_opted_out=own.gpc or sale == DENIED or strings.is_opted_out,
        is_vendor_denied=is_vendor_denied(revised, ledger.of_vendors, vendor),
        withheld_until_micros=withheld_until(ledger.of_vendors, vendor),
    )


def strictest(own: Permits, other: Permits, *, is_same_person: bool) -> Permits:
    """Returns what is allowed of a conversion with which something of another is said.

    Args:
        own: Of the conversion.
        other: Of the other.
        is_same_person: Whether both are one person's: then only a denial counts. Else nobody's grant is another's.
    """

    def stricter(one: int, two: int) -> int:
        if DENIED in (one, two):
            return DENIED
        return one if is_same_person or two == GRANTED else UNSAID

    return Permits(
        stricter(own.ad_user_data, other.ad_user_data),
        stricter(own.ad_personalization, other.ad_personalization),
        is_opted_out=own.is_opted_out or other.is_opted_out,
        is_vendor_denied=own.is_vendor_denied or other.is_vendor_denied,
        withheld_until_micros=max(own.withheld_until_micros, other.withheld_until_micros),
    )
