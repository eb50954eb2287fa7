"""The credit of a conversion as columns of `conversion_revisions`: of touches, and of each model.

The one rule: every model's arrays add up by themselves. Where a model leaves something to nobody, the touches get one
more element, `unattributed`, so that a report is one ARRAY JOIN and its rows sum to the conversions.

Who has just computed a credit writes it from there (`computed_credit`): to read sixty shares back from a message costs
more than all else that a row says. Both ways give the same columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

from tributary.attribution.v1.conversion_pb2 import ConversionState
from tributary.attribution.v1.credit_pb2 import CreditedTouch, TouchSource, UnattributedReason
from tributary.event.v1.touchpoint_pb2 import TouchpointKind
from tributary_domain import attribution as domain
from tributary_domain.attribution import WHOLE
from tributary_domain.settings import EVERY_MODEL
from tributary_storage.clickhouse.event_details import AD_DETAILS, SOURCE_DETAILS, ad_details
from tributary_storage.clickhouse.names import micros, names_of
from tributary_storage.codec.credit_bytes import Credited
from tributary_storage.codec.event_references import event_reference

Row = tuple[Any, ...]

MODELS: Final = (
    "first_touch",
    "last_touch",
    "last_non_direct",
    "linear",
    "position_based",
    "time_decay",
    "data_driven",
)
"""The models that have columns. Closed: a new one is a migration."""

UNATTRIBUTED: Final = "unattributed"
"""The channel of what nobody earned; its element has no event id."""

TOUCH_DETAILS: Final = (*AD_DETAILS, *SOURCE_DETAILS, "spend_join_step", "just_after_conversion")
"""Every key of `touch_details`; what is not known of a touch has none."""

Details = dict[str, str]
"""Of one touch."""

_KINDS: Final = names_of(TouchpointKind.DESCRIPTOR)
_REASONS: Final = names_of(UnattributedReason.DESCRIPTOR)
_REASON_OF: Final = {
    reason: _REASONS[UnattributedReason.Value(f"UNATTRIBUTED_REASON_{reason.name}")]
    for reason in domain.UnattributedReason
}
_NO_MODEL: Final[Row] = ((), (), "")
_NO_AD: Final[Row] = ("", "", "")
_NO_DETAILS: Final[Details] = {}
_TOUCH_COLUMNS: Final = 12
_SOURCES: Final = 1 << 12
"""Sources that are remembered as columns."""


def read_credit(state: ConversionState, conversion_micros: int) -> tuple[Row, list[Details]]:
    """Returns the columns of the touches, then those of each model, then the model version; and the touches' details.

    Args:
        state: With its credit.
        conversion_micros: When it happened.

    Raises:
        ValueError: A touch has more or fewer credits than the state has models, or a model has no columns.
    """
    sources = [_source_columns(touch.source.SerializeToString()) for touch in state.touches]
    details = [_details(touch, found) for touch, (_, found) in zip(state.touches, sources, strict=True)]
    if any(model.unattributed.credit_micros or model.unattributed.value_micros for model in state.models):
        details.append(_NO_DETAILS)
    return _credits(state, conversion_micros, [columns for columns, _ in sources]), details


def computed_credit(credit: Credited, conversion_micros: int) -> tuple[Row, list[Details]]:
    """Returns the same of a credit as it was computed.

    Args:
        credit: It.
        conversion_micros: When the conversion happened.
    """
    attribution, written = credit
    sources = [_source_columns(written[touch.descriptor]) for touch in attribution.touches]
    rows = [
        (event_reference(event_hash), time, _KINDS[kind], *columns)
        for (time, event_hash, kind, *_), (columns, _) in zip(attribution.touches, sources, strict=True)
    ]
    details = [
        {**found, "just_after_conversion": "1"} if touch[0] > conversion_micros else found
        for touch, (_, found) in zip(attribution.touches, sources, strict=True)
    ]
    reasons = attribution.unattributed
    if any(reasons):
        rows.append(_nobody(conversion_micros))
        details.append(_NO_DETAILS)
    parts = dict.fromkeys(MODELS, _NO_MODEL)
    for model, credits, amounts, reason in zip(
        EVERY_MODEL, attribution.credits, attribution.amounts, reasons, strict=False
    ):
        if any(reasons):
            credits = (*credits, WHOLE if reason else 0)
            amounts = (*amounts, attribution.amount_micros if reason else 0)
        parts[model.value] = (credits, amounts, _REASON_OF[reason] if reason else "")
    return _columns(rows, parts, attribution.model_version), details


def _columns(rows: Sequence[Row], parts: dict[str, Row], version: str) -> Row:
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [()] * _TOUCH_COLUMNS
    return (*columns, *(column for model in MODELS for column in parts[model]), version)


def _nobody(conversion_micros: int) -> Row:
    """Returns the element of what nobody earned."""
    return ("", conversion_micros, "", UNATTRIBUTED, *[""] * 8)


def _details(touch: CreditedTouch, source: Details) -> Details:
    if not touch.spend_join_step and not touch.just_after_conversion:
        return source
    found = dict(source)
    if touch.spend_join_step:
        found["spend_join_step"] = touch.spend_join_step
    if touch.just_after_conversion:
        found["just_after_conversion"] = "1"
    return found


def _credits(state: ConversionState, conversion_micros: int, sources: Iterable[Row]) -> Row:
    touches, models = list(state.touches), list(state.models)
    rows = list(map(_touch, touches, sources))
    shares = [[(share.credit_micros, share.value_micros) for share in touch.credits] for touch in touches]
    for own in shares:
        if len(own) != len(models):
            raise ValueError(f"a touch has {len(own)} credits for {len(models)} models")
    nobody = [(model.unattributed.credit_micros, model.unattributed.value_micros) for model in models]
    if any(map(any, nobody)):
        rows.append(_nobody(conversion_micros))
        shares.append(nobody)
    parts = dict.fromkeys(MODELS, _NO_MODEL)
    version = ""
    of_models = zip(*shares, strict=True) if shares else [()] * len(models)
    for model, theirs in zip(models, of_models, strict=True):
        if model.name not in parts:
            raise ValueError(f"the model {model.name!r} has no columns in conversion_revisions")
        credit, value = [one for one, _ in theirs], [one for _, one in theirs]
        parts[model.name] = (credit, value, _REASONS[model.unattributed.reason])
        version = model.model_version or version
    return _columns(rows, parts, version)


def _touch(touch: CreditedTouch, source: Row) -> Row:
    return (touch.event_id, micros(touch.touch_time), _KINDS[touch.kind], *source)


@lru_cache(maxsize=_SOURCES)
def _source_columns(written: bytes) -> tuple[Row, Details]:
    """Returns what columns say of a source, and its details, which nobody changes: sources repeat.

    Args:
        written: The source, serialised.
    """
    source = TouchSource.FromString(written)
    ad = source.ad
    found = ad_details(ad) if source.HasField("ad") else {}
    if source.term:
        found["term"] = source.term
    if source.content:
        found["content"] = source.content
    columns = (
        *(source.channel, source.sub_channel, source.source, source.medium, source.campaign, source.campaign_id),
        *((ad.destination, ad.account_id, ad.campaign_id) if source.HasField("ad") else _NO_AD),
    )
    return columns, found
