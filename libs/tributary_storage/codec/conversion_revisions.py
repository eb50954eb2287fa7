"""Two published states of a conversion -> what changed between them, in the words of `ConversionRevised`.

Both sides are read from messages by the same code, so a difference is never one of form. What is compared beyond credit
is a digest made when it is needed, of both sides alike: a later release that shows more of a conversion does not revise
what was published before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import blake2b
from typing import Final

from tributary.attribution.v1.conversion_pb2 import ConversionState, MatchResolution, RevisionCause
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.attribution.v1.credit_pb2 import TouchSource, UnattributedReason
from tributary_domain import attribution as domain
from tributary_domain.attribution import Attribution
from tributary_domain.conversion import ConversionStatus
from tributary_domain.event_order import event_hash
from tributary_domain.journey import DIRECT, JourneyTouch
from tributary_domain.revision import Cause, Change, Snapshot, compare
from tributary_storage.clickhouse.names import micros
from tributary_storage.codec.conversion_matches import remembered
from tributary_storage.codec.conversion_states import (
    CAUSE_OF_ADJUSTMENT,
    STATUS_OF_REASON,
)
from tributary_storage.codec.credit_bytes import WrittenSources, deltas_bytes
from tributary_storage.codec.event_references import hash_of_reference, is_damaged
from tributary_storage.codec.touch_sources import descriptor_of

_CAUSES: Final = {cause: RevisionCause.Value(f"REVISION_CAUSE_{cause.name}") for cause in Cause}
_KIND_OF_CAUSE: Final = {cause: kind for kind, cause in CAUSE_OF_ADJUSTMENT.items()}
_NOT_FACTS: Final = (
    *("touches", "models", "value", "full_value", "reporting_value", "settings_version"),
    *("counted", "not_counted_reason", "retracted"),
    *("role", "secondary"),  # the workspace's words for it: new ones are no revision of the past
)

_UNSEEN: Final = JourneyTouch(0, 0)[4:]
"""Of a touch, what is not published."""

_journey_touch: Final[Callable[..., JourneyTouch]] = tuple.__new__  # in place of the one that takes arguments


class PublishedConversion:
    """What is published of a conversion now, as far as the next revision must know it.

    Args:
        content: `ConversionRevised`, with state and match.

    Raises:
        ValueError: Nobody can read what it says of a touch.
    """

    def __init__(self, content: bytes) -> None:
        revised = ConversionRevised.FromString(content)
        self.state = revised.state
        self.sources: dict[int, TouchSource] = {}
        """Of its touches, by descriptor."""
        self.touches: list[JourneyTouch] = []
        """Its touches as the core knows them, without what only folding needs."""
        for touch in self.state.touches:
            event_hash = hash_of_reference(touch.event_id)
            if not event_hash and is_damaged(touch.event_id):  # what is no touch's takes no credit back
                message = "A touch is named by what is no reference."
                raise ValueError(message)
            descriptor, _ = descriptor_of(touch.source)
            self.sources[descriptor] = touch.source
            flags = DIRECT if touch.source.rule == "direct" else 0
            self.touches.append(JourneyTouch(micros(touch.touch_time), event_hash, touch.kind, descriptor, flags))
        self.traces = list(remembered(revised.match))
        """By what destinations can recognise its person, beside what is its own; with slots."""
        self.person_ids = list(revised.match.person_ids)
        """The other people of whom something is among that."""
        facts = ConversionState()
        facts.CopyFrom(self.state)
        self.attribution = self._attribution()
        """Its credit, also where it is not counted."""
        self.snapshot = snapshot_of(self.state, self.attribution, facts_digest(facts, revised.match))

    def _attribution(self) -> Attribution:
        state = self.state
        credits = zip(*([share.credit_micros for share in touch.credits] for touch in state.touches), strict=True)
        amounts = zip(*([share.value_micros for share in touch.credits] for touch in state.touches), strict=True)
        return Attribution(
            touches=tuple(self.touches),
            credits=tuple(credits) or ((),) * len(state.models),
            amounts=tuple(amounts) or ((),) * len(state.models),
            unattributed=tuple(_reason(model.unattributed.reason) for model in state.models),
            amount_micros=state.value.amount_micros,
            model_version=state.models[-1].model_version if state.models else "",
        )


def as_published(content: bytes) -> PublishedConversion | None:
    """Returns what a message says is published; None: it says of credit or causes what nobody can read."""
    try:
        return PublishedConversion(content)
    except (ValueError, KeyError):
        return None


def snapshot_of(state: ConversionState, attribution: Attribution, digest: str) -> Snapshot:
    """Returns what is compared of a conversion.

    Args:
        state: Its facts; touches and models are not looked at.
        attribution: Its credit.
        digest: `facts_digest` of it.
    """
    if state.counted:
        status = ConversionStatus.COUNTED
    else:
        status = STATUS_OF_REASON.get(state.not_counted_reason, ConversionStatus.UNCOUNTED)
    observations = tuple(event_hash(event_id) for event_id in state.observation_event_ids)
    touches = tuple([_journey_touch(JourneyTouch, touch[:4] + _UNSEEN) for touch in attribution.touches])
    return Snapshot(
        person_id=state.person_id,
        status=status,
        conversion_time_micros=micros(state.conversion_time),
        event_hash=observations[0] if observations else 0,
        currency_code=state.value.currency_code,
        amount_micros=state.value.amount_micros if state.HasField("value") else None,
        observations=observations,
        adjustments=tuple((event_hash(one.event_id), _KIND_OF_CAUSE[one.cause]) for one in state.adjustments),
        attribution=replace(attribution, touches=touches) if state.counted else None,
        facts_digest=digest,
        settings_version=state.settings_version,
    )


def facts_digest(facts: ConversionState, match: MatchResolution) -> str:
    """Returns a digest of what is published beside credit and value; `facts` loses those."""
    for name in _NOT_FACTS:
        facts.ClearField(name)
    digest = blake2b(facts.SerializeToString(deterministic=True), digest_size=16)
    digest.update(match.SerializeToString(deterministic=True))
    return digest.hexdigest()


def describe_change(
    published: PublishedConversion | None, revised: ConversionRevised, state: ConversionState, change: Change
) -> None:
    """Writes into a revision why it is one and how value and count changed.

    Args:
        published: What it replaces; None for the first.
        revised: The revision.
        state: Its state.
        change: What changed.
    """
    old = ConversionState() if published is None else published.state
    revised.causes.extend([_CAUSES[cause] for cause in change.causes])
    revised.value_delta_micros = counted_value(state) - counted_value(old)
    revised.counted_delta = int(state.counted) - int(old.counted)
    if change.moves:
        revised.replaced_conversion_time.CopyFrom(old.conversion_time)


def displacing(
    before: PublishedConversion | None, previous: int, own: PublishedConversion, revised: ConversionRevised
) -> tuple[ConversionRevised, bytes]:
    """Returns a published revision as one that displaced another than it says, with its bytes: why it is one stays.

    Args:
        before: What it displaced; None: nothing.
        previous: The number of that; 0: there is none.
        own: The revision.
        revised: The same, as it was published.
    """
    change = compare(None if before is None else before.snapshot, own.snapshot)
    mended = ConversionRevised()
    mended.CopyFrom(revised)
    mended.previous_revision = previous
    for name in ("causes", "deltas", "replaced_conversion_time"):
        mended.ClearField(name)
    describe_change(before, mended, mended.state, Change((), (), moves=change is not None and change.moves))
    mended.causes.extend(revised.causes)
    sources = {**({} if before is None else before.sources), **own.sources}
    deltas = deltas_bytes(() if change is None else change.deltas, WrittenSources(sources.__getitem__))
    mended.MergeFromString(deltas)
    return mended, mended.SerializeToString(deterministic=True)


def counted_value(state: ConversionState) -> int:
    """Returns how much totals contain of a conversion, in micros."""
    return state.value.amount_micros if state.counted else 0


def _reason(reason: UnattributedReason.ValueType) -> domain.UnattributedReason | None:
    if not reason:
        return None
    name = UnattributedReason.Name(reason).removeprefix("UNATTRIBUTED_REASON_")
    return domain.UnattributedReason[name]
