"""Credit of the past under other settings: what would change, or the change itself, on purpose and page by page.

The one rule: each conversion is computed and published by the steps that do so for events. So what is previewed is what
would be published, a conversion whose credit stays the same has no revision, and doing a page twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Protocol

from tributary.attribution.v1.conversion_pb2 import ConversionState
from tributary.attribution.v1.credit_pb2 import TouchSource
from tributary.attribution.v1.explanation_pb2 import CreditSettings
from tributary.attribution.v1.reattribution_pb2 import ReattributionPage
from tributary_attribution.affected import Affected
from tributary_attribution.assessment import Assessment, assess, is_incomplete
from tributary_attribution.credit_settings import core_settings, declared_for, journey_life_seconds
from tributary_attribution.explanations import is_same_credit
from tributary_attribution.journeys import Directory
from tributary_attribution.publishing import Publisher, let_others_run
from tributary_attribution.simulated_settings import simulated
from tributary_attribution.views import Views
from tributary_domain.attribution import Attribution
from tributary_domain.settings import MODELS, AttributionSettings
from tributary_runtime.errors import Backpressure, PoisonEvent, RevisionMovedError
from tributary_storage.clickhouse.published_conversions import Place, Wanted

_Row = tuple[int, str, str, str]
"""Place of the model, channel, conversion name, currency."""

UNATTRIBUTED: Final = "unattributed"
"""What nobody earned, where channels stand."""

_BEFORE: Final = 0
_AFTER: Final = 2
"""Where credit and value of a side begin among four sums."""
_AT_ONCE: Final = 50
"""Conversions that are read and published together, beside the batches of events."""


class Published(Protocol):
    """What knows which conversions there are."""

    async def page(self, wanted: Wanted) -> Sequence[Place]:
        """Returns conversions by time and id.

        Raises:
            StorageUnavailableError: It did not answer.
        """
        ...


class Reattribution:
    """Computes credit of the past anew.

    Args:
        publisher: Reads, computes and publishes.
        published: Knows which conversions there are.
        directory: Knows the workspaces.
    """

    def __init__(self, publisher: Publisher, published: Published, directory: Directory) -> None:
        self._publisher = publisher
        self._published = published
        self._directory = directory

    async def preview(
        self, wanted: Wanted, asked: CreditSettings | None = None
    ) -> tuple[ReattributionPage, Place | None]:
        """Says what a page of conversions would change. Nothing is stored.

        Args:
            wanted: Which conversions.
            asked: What differs from the workspace's settings; None: nothing.

        Returns:
            The changes, and the last conversion of the page; None if there is none after it.

        Raises:
            InvalidRequestError: There are no such settings.
            NotFoundError: There is no such workspace.
            StorageUnavailableError: A store does not answer.
        """
        return await self._run(wanted, asked, publishes=False)

    async def apply(self, wanted: Wanted) -> tuple[ReattributionPage, Place | None]:
        """Credits a page of conversions under the workspace's settings as they are now; what changes is revised.

        Args: as for `preview`, whose errors it raises too.

        Raises:
            RevisionMovedError: Conversions moved again and again while they were computed; ask again.
        """
        return await self._run(wanted, None, publishes=True)

    async def _run(
        self, wanted: Wanted, asked: CreditSettings | None, *, publishes: bool
    ) -> tuple[ReattributionPage, Place | None]:
        workspace = self._directory.get(wanted.workspace)
        if asked is not None:
            simulated(workspace.attribution[-1], asked)  # a wrong question is refused, whatever it would find
        found = await self._published.page(wanted)
        places = found[: wanted.limit - 1]
        comparison = Comparison()
        tried: dict[str, AttributionSettings] = {}
        for start in range(0, len(places), _AT_ONCE):
            chunk = places[start : start + _AT_ONCE]
            some = [Affected(workspace, place.conversion_id) for place in chunk]
            views = await self._publisher.read(some, may_lack_sources=True)
            for one, place in zip(some, chunk, strict=True):
                declared = declared_for(workspace, place.time_micros)
                if asked is not None and declared.version not in tried:
                    tried[declared.version] = core_settings(simulated(declared, asked))
                comparison.add(one, _assess(one, views, tried.get(declared.version)))
                await let_others_run()
            if publishes:
                await self._publish(some)
        return comparison.page(), places[-1] if len(found) > len(places) else None

    async def _publish(self, some: Sequence[Affected]) -> None:
        """Publishes what changed of some conversions; one whose source has lost its text is left as it is."""
        try:
            try:
                revisions = await self._publisher.publish(some)
            except PoisonEvent:
                revisions = []
                for one in some:
                    with suppress(PoisonEvent):
                        revisions += await self._publisher.publish([one])
        except Backpressure as moving:
            raise RevisionMovedError("Conversions moved while they were computed; ask for the same again.") from moving
        await self._publisher.tell(revisions)


def _assess(one: Affected, views: Views, settings: AttributionSettings | None) -> Assessment | None:
    if one.stored is None:
        return None
    return assess(one.known(), views, journey_life_seconds([one.workspace]), settings)


class Comparison:
    """What credit was and would be, added up."""

    def __init__(self) -> None:
        """Has seen no conversion."""
        self._page = ReattributionPage()
        self._sums: dict[_Row, list[int]] = {}

    def add(self, one: Affected, assessed: Assessment | None) -> None:
        """Adds a conversion.

        Args:
            one: As it was read.
            assessed: What it would be; None where nothing is known of it any more.
        """
        page = self._page
        page.conversions += 1
        if assessed is None or assessed.published is None:
            page.incomplete += 1
            return
        published = assessed.published
        settings, time = assessed.settings, assessed.facts.conversion_time_micros
        has_person = bool(assessed.facts.identifiers)
        life = journey_life_seconds([one.workspace])
        if assessed.is_trimmed or (has_person and is_incomplete(one.journey, settings, time, life)):
            page.incomplete += 1
        page.changed += not is_same_credit(published.attribution, assessed.attribution)
        if published.state.counted:
            self._add(_BEFORE, published.attribution, published.state, assessed)
        if assessed.facts.is_counted:
            self._add(_AFTER, assessed.attribution, published.state, assessed)

    def page(self) -> ReattributionPage:
        """Returns what was added up."""
        for (model, channel, name, currency), sums in sorted(self._sums.items()):
            self._page.changes.add(
                model=MODELS[model].value,
                channel=channel,
                conversion_name=name,
                currency_code=currency,
                before_credit_micros=sums[0],
                before_value_micros=sums[1],
                after_credit_micros=sums[2],
                after_value_micros=sums[3],
            )
        return self._page

    def _add(self, side: int, attribution: Attribution, state: ConversionState, assessed: Assessment) -> None:
        currency = state.value.currency_code
        channels = [(assessed.source_of(touch.descriptor) or TouchSource()).channel for touch in attribution.touches]
        for model in range(len(MODELS)):
            rows = [
                *zip(channels, attribution.credits[model], attribution.amounts[model], strict=True),
                (UNATTRIBUTED, attribution.unattributed_credits[model], attribution.unattributed_amounts[model]),
            ]
            for channel, credit, amount in rows:
                if credit or amount:
                    sums = self._sums.setdefault((model, channel, state.name, currency), [0, 0, 0, 0])
                    sums[side] += credit
                    sums[side + 1] += amount
