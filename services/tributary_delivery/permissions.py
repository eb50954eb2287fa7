"""May what is about to be sent leave: the consent ledger, asked last before HTTP.

The one rule: the most restrictive of what was said with the conversion and of what its person said later. A later grant
never upgrades what was collected without it. Fails closed: while the ledger cannot be read, or was lost and not read
back yet, nothing leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_delivery.candidates import said_with
from tributary_delivery.destinations.adapter import Permits
from tributary_domain.consent import DENIED, UNSAID, Assumed, Decision, Purpose, Timeline, state_when_leaving
from tributary_domain.consent_strings import said_by
from tributary_runtime.errors import StorageUnavailableError
from tributary_storage.redis.consents import Consents
from tributary_storage.redis.people import People
from tributary_storage.redis.ties import person_key


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

    async def read(self, workspace: str, revisions: Sequence[ConversionRevised]) -> dict[str, Permits]:
        """Returns what is allowed now, by conversion id.

        Raises:
            StorageUnavailableError: Nobody can tell now.
        """
        await self._require_restored()
        decisions = await self._decisions(workspace, sorted({one.state.person_id for one in revisions} - {""}))
        assumed = self._assumed_of(workspace)
        return {
            one.state.conversion_id: permits_of(one, decisions.get(one.state.person_id, ()), assumed)
            for one in revisions
        }

    async def _decisions(self, workspace: str, person_ids: Sequence[str]) -> dict[str, list[Decision]]:
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
        return {name: [one for home in own for one in found[home]] for name, own in homes.items()}

    async def _require_restored(self) -> None:
        loss_micros = self._loss_micros()
        if loss_micros > self._restored_micros:
            if await self._consents.restored_micros() < loss_micros:
                message = "The consent ledger was lost and is not read back from ClickHouse yet; nothing is sent."
                raise StorageUnavailableError(message, metadata={"store": "state"})
            self._restored_micros = loss_micros


def may_be_told(revised: ConversionRevised, vendor: int | None) -> bool:
    """Tells whether no consent string keeps a vendor from being told of a conversion.

    Args:
        revised: With the strings as they came.
        vendor: Its number in the IAB's list; None: it has none, and no string can name it.
    """
    own = revised.match.consent
    return vendor is None or said_by(own.tcf_string, own.gpp_string).allows(vendor)


def why_not(revised: ConversionRevised, permits: Permits) -> str:
    """Returns why a conversion may not leave, for who has to explain that.

    Args:
        revised: With what was said.
        permits: What is allowed of it now, which is not enough.
    """
    if said_with(revised) == DENIED:
        in_words = revised.match.consent.ad_user_data == DENIED
        return f"ad_user_data was denied with the conversion, in {'words' if in_words else 'its consent string'}"
    if permits.ad_user_data == DENIED:
        return "the person denied ad_user_data, before or since, or nothing was said and consent_defaults deny it"
    return "nothing was said of ad_user_data, and the destination needs a grant (needs_consent_grant)"


def permits_of(revised: ConversionRevised, decisions: Sequence[Decision], assumed: Assumed) -> Permits:
    """Returns what is allowed of a conversion.

    Args:
        revised: With what was said, in states and in strings: the stricter of them holds.
        decisions: Of its person, before and after.
        assumed: Where nothing was said.
    """
    own = revised.match.consent
    strings = said_by(own.tcf_string, own.gpp_string)
    own_micros = own.consent_time.ToMicroseconds() if own.HasField("consent_time") else 0
    conversion_micros = revised.state.conversion_time.ToMicroseconds()

    def state(said: int, purpose: Purpose) -> int:
        default = assumed.state(own.region, purpose)
        return state_when_leaving(said, own_micros, conversion_micros, Timeline(decisions, purpose), default)

    # Selling and sharing is objected to, never assumed to be: silence is no objection.
    objection = Timeline(decisions, Purpose.SALE_OR_SHARING)
    sale = state_when_leaving(own.sale_or_sharing, own_micros, conversion_micros, objection, UNSAID)
    return Permits(
        state(max(own.ad_user_data, strings.ad_user_data), Purpose.AD_USER_DATA),
        state(max(own.ad_personalization, strings.ad_personalization), Purpose.AD_PERSONALIZATION),
        is_opted_out=own.gpc or sale == DENIED or strings.is_opted_out,
    )
