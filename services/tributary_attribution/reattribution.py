"""Credit of the past under other settings: what would change, or the change itself, on purpose and page by page.

The one rule: each conversion is computed and published by the steps that do so for events. So what is previewed is what
would be published, a conversion whose credit stays the same has no revision (it names the settings of before, and is
credited under them should it change later), and doing a page twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final, Protocol

from tributary.attribution.v1.conversion_pb2 import ConversionState
from tributary.attribution.v1.credit_pb2 import TouchSource
from tributary.attribution.v1.explanation_pb2 import CreditSettings
from tributary.attribution.v1.reattribution_pb2 import ModelChoice, ReattributionPage
from tributary_attribution.affected import Affected
from tributary_attribution.assessment import Assessment, is_incomplete
from tributary_attribution.credit_settings import core_settings, declared_for, journey_life_seconds
from tributary_attribution.directory import Directory
from tributary_attribution.explanations import is_same_credit, is_same_data_driven
from tributary_attribution.known import Known
from tributary_attribution.model_choices import ModelChoices, name_of, no_model
from tributary_attribution.publishing import Publisher
from tributary_attribution.simulated_settings import simulated
from tributary_attribution.steps import let_others_run
from tributary_domain.attribution import WHOLE, Attribution
from tributary_domain.data_driven import with_data_driven
from tributary_domain.journey import JourneyTouch
from tributary_domain.revision import Cause
from tributary_domain.settings import EVERY_MODEL, MODELS, AttributionSettings
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
        choices: Knows models of data_driven.
    """

    def __init__(self, publisher: Publisher, published: Published, directory: Directory, choices: ModelChoices) -> None:
        self._choices = choices
        self._publisher = publisher
        self._published = published
        self._directory = directory

    async def preview(
        self, wanted: Wanted, asked: CreditSettings | None = None, choice: ModelChoice | None = None
    ) -> tuple[ReattributionPage, Place | None]:
        """Says what a page of conversions would change. Nothing is stored.

        Args:
            wanted: Which conversions.
            asked: What differs from the workspace's settings; None: nothing.
            choice: The model of data_driven that they would be moved to; None: each keeps its own.

        Returns:
            The changes, and the last conversion of the page; None if there is none after it.

        Raises:
            InvalidRequestError: There are no such settings, or no such model.
            NotFoundError: There is no such workspace.
            StorageUnavailableError: A store does not answer.
        """
        return await self._run(wanted, asked, choice, publishes=False)

    async def apply(self, wanted: Wanted, choice: ModelChoice | None = None) -> tuple[ReattributionPage, Place | None]:
        """Credits a page of conversions under the workspace's settings as they are now; what changes is revised.

        Args: as for `preview`, whose errors it raises too.

        Raises:
            RevisionMovedError: Conversions moved again and again while they were computed; ask again.
        """
        return await self._run(wanted, None, choice, publishes=True)

    async def _run(
        self, wanted: Wanted, asked: CreditSettings | None, choice: ModelChoice | None, *, publishes: bool
    ) -> tuple[ReattributionPage, Place | None]:
        workspace = self._directory.get(wanted.workspace)
        furthest, trying = 0, []
        if asked is not None:  # a wrong question is refused, whatever it would find
            trying = [simulated(own, asked) for own in workspace.attribution]
            furthest = max(core_settings(own).history_micros for own in trying)
            if asked.data_driven_version:
                raise no_model("settings.data_driven_version", "Say it in `model`: conversions have several names.")
        moves = {} if choice is None else await self._choices.by_name(workspace.id, choice, "model")
        found = await self._published.page(wanted)
        places = found[: wanted.limit - 1]
        comparison = Comparison()
        tried: dict[str, AttributionSettings] = {}
        for start in range(0, len(places), _AT_ONCE):
            chunk = places[start : start + _AT_ONCE]
            some = [
                Affected(
                    workspace,
                    one.conversion_id,
                    is_reattributed=choice is None,
                    is_exact=True,
                    looks_back_micros=furthest,
                    tried=trying,
                )
                for one in chunk
            ]
            views = await self._publisher.read(some, may_lack_sources=True)
            for one, place in zip(some, chunk, strict=True):
                declared = declared_for(workspace, place.time_micros)
                if asked is not None and declared.version not in tried:
                    tried[declared.version] = core_settings(simulated(declared, asked))
                settings = tried.get(declared.version)
                known, assessed = await self._publisher.assessed(one, views, self._choices.models, settings)
                if assessed is not None and assessed.published is not None:
                    moved = None if choice is None else _moved(known, assessed, moves, wanted)
                    if moved is not None:  # who follows another is published with it
                        one.model_version, one.known_causes = moved.model_version, set(moved.known_causes)
                    is_left = choice is not None and moved is None
                    credit = assessed.published.attribution
                    comparison.add(one, assessed, credit if is_left else await self._credit(moved or known, assessed))
                else:
                    comparison.add(one, None, None)
                await let_others_run()
            if publishes:
                await self._publish(some if choice is None else [one for one in some if _is_to_publish(one)])
        return comparison.page(), places[-1] if len(found) > len(places) else None

    async def _credit(self, known: Known, assessed: Assessment) -> Attribution:
        """Returns the credit under every model; without data_driven where ClickHouse has lost its model."""
        try:
            model = await self._choices.pinned(known, assessed)
        except PoisonEvent:
            return assessed.attribution
        if model is None:
            return assessed.attribution
        channels = [_channel(assessed, touch) for touch in assessed.path]
        return with_data_driven(assessed.attribution, assessed.path, channels, model)

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


def _moved(known: Known, assessed: Assessment, moves: Mapping[str, str], wanted: Wanted) -> Known | None:
    """Returns all that is known of a conversion once it is moved to the model of its name; None where it stays.

    It stays where that is its model already, or where the conversion that it follows does; but not where that one was
    moved by a run that stopped before it came to those that follow.
    """
    time, published = assessed.facts.conversion_time_micros, assessed.published
    if known.origin is not None and assessed.origin is not None:
        origin = _moved(known.origin, assessed.origin, moves, wanted)
        return _behind(known, assessed, moves) if origin is None else replace(known, origin=origin)
    name = name_of(known)
    is_wanted = wanted.start_micros <= time < wanted.end_micros and (not wanted.names or name in wanted.names)
    version = moves.get(name, "")
    if not is_wanted or not version or published is None or version == published.attribution.model_version:
        return None
    return replace(known, model_version=version, known_causes={Cause.MODEL_CHANGE})


def _behind(known: Known, assessed: Assessment, moves: Mapping[str, str]) -> Known | None:
    """Returns all that is known of a conversion once it follows another that was moved before; None where it does."""
    published, origin = assessed.published, assessed.origin
    if published is None or origin is None or origin.published is None:
        return None
    version = origin.published.attribution.model_version
    if version not in moves.values() or version == published.attribution.model_version:
        return None
    return replace(known, model_version=version, known_causes={Cause.MODEL_CHANGE})


def _is_to_publish(one: Affected) -> bool:
    """Tells whether a conversion is moved, or a run that moved it stopped before it was told."""
    return bool(one.model_version or (one.stored is not None and one.stored.pending))


def _channel(assessed: Assessment, touch: JourneyTouch) -> str:
    return (assessed.source_of(touch.descriptor) or TouchSource()).channel


class Comparison:
    """What credit was and would be, added up."""

    def __init__(self) -> None:
        """Has seen no conversion."""
        self._page = ReattributionPage()
        self._sums: dict[_Row, list[int]] = {}

    def add(self, one: Affected, assessed: Assessment | None, credit: Attribution | None) -> None:
        """Adds a conversion.

        Args:
            one: As it was read.
            assessed: What it would be; None where nothing is known of it any more.
            credit: Its credit then, under every model.
        """
        page = self._page
        page.conversions += 1
        if assessed is None or assessed.published is None or credit is None:
            page.incomplete += 1
            return
        published = assessed.published
        settings, time = assessed.settings, assessed.facts.conversion_time_micros
        has_person = bool(assessed.facts.identifiers)
        life, now = journey_life_seconds([one.workspace]), 0 if one.stored is None else one.stored.redis_time_micros
        if assessed.is_trimmed or (has_person and is_incomplete(one.journey, settings, time, life, now)):
            page.incomplete += 1
        before = published.attribution
        page.changed += not (is_same_credit(before, credit) and is_same_data_driven(before, credit))
        has_model = bool(before.model_version or credit.model_version)
        if published.state.counted:
            self._add(_BEFORE, before, published.state, assessed, has_model=has_model)
        if assessed.facts.is_counted:
            self._add(_AFTER, credit, published.state, assessed, has_model=has_model)

    def page(self) -> ReattributionPage:
        """Returns what was added up."""
        for (model, channel, name, currency), sums in sorted(self._sums.items()):
            self._page.changes.add(
                model=EVERY_MODEL[model].value,
                channel=channel,
                conversion_name=name,
                currency_code=currency,
                before_credit_micros=sums[0],
                before_value_micros=sums[1],
                after_credit_micros=sums[2],
                after_value_micros=sums[3],
            )
        return self._page

    def _add(
        self, side: int, attribution: Attribution, state: ConversionState, assessed: Assessment, *, has_model: bool
    ) -> None:
        """Adds a side; where data_driven has a model on the other side only, nobody earned it on this one."""
        currency = state.value.currency_code
        channels = [_channel(assessed, touch) for touch in attribution.touches]
        if has_model and not attribution.model_version:
            sums = self._sums.setdefault((len(MODELS), UNATTRIBUTED, state.name, currency), [0, 0, 0, 0])
            sums[side] += WHOLE
            sums[side + 1] += attribution.amount_micros
        for model in range(len(attribution.unattributed)):
            rows = [
                *zip(channels, attribution.credits[model], attribution.amounts[model], strict=True),
                (UNATTRIBUTED, attribution.unattributed_credits[model], attribution.unattributed_amounts[model]),
            ]
            for channel, credit, amount in rows:
                if credit or amount:
                    sums = self._sums.setdefault((model, channel, state.name, currency), [0, 0, 0, 0])
                    sums[side] += credit
                    sums[side + 1] += amount
