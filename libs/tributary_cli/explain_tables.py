"""An explanation as a person reads it: tables that fit 100 columns. Numbers stay exact: no float on the way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp
    from rich.table import Table

    from tributary.attribution.v1.conversion_pb2 import ConversionState
    from tributary.attribution.v1.credit_pb2 import TouchSource
    from tributary.attribution.v1.explanation_pb2 import CreditSettings, ExplainedModel, Explanation
    from tributary.attribution.v1.finding_pb2 import FindingKind
    from tributary.common.v1.money_pb2 import Money
    from tributary.dedup.v1.quarantine_pb2 import QuarantineRecord
    from tributary.delivery.v1.delivery_pb2 import Delivery
    from tributary.query.v1.query_service_pb2 import RevisionSummary

WIDTH: Final = 100
"""Columns that everything fits."""

_SHORT: Final = {
    "first_touch": "first",
    "last_touch": "last",
    "last_non_direct": "non-direct",
    "position_based": "position",
    "time_decay": "decay",
    "data_driven": "data",
}


def settings_line(settings: CreditSettings) -> str:
    """Returns the settings that decide most, in one line."""
    own = [f"{name} {days} d" for name, days in sorted(settings.model_lookback_days.items())]
    weights = "/".join(map(str, settings.position_weights))
    parts = [
        f"settings {settings.version}: lookback {settings.lookback_days} d",
        *own,
        f"half life {settings.half_life_hours} h",
        f"position {weights}",
        f"touches are {settings.touch_grain}s",
        f"impressions {settings.impression_policy.replace('_', ' ')}",
        *(["repeats collapsed"] if settings.collapse_repeats else []),
        *([f"paths end at {', '.join(settings.path_reset_names)}"] if settings.path_reset_names else []),
    ]
    return "; ".join(parts)


def touchpoints_table(explanation: Explanation) -> Table:
    """Returns the touchpoints, each with what became of it."""
    table = _table(("touchpoint", 23), ("event", 20), ("from", 24), ("outcome", 29))
    for one in explanation.touchpoints:
        table.add_row(show_time(one.event_time), one.event_id, show_source(one.source), _outcome(one))
    return table


def credit_table(explanation: Explanation) -> Table:
    """Returns each touch's share under every model, in percent of the conversion."""
    models = list(explanation.models)
    table = _table(
        ("share of", 18),
        *((_SHORT.get(model.name, model.name), 10) for model in models),
        right=range(1, 1 + len(models)),
    )
    shown = min((len(model.shares) for model in models), default=0)  # of a very large answer the oldest are missing
    for shares in zip(*(model.shares[len(model.shares) - shown :] for model in models), strict=True):
        table.add_row(shares[0].source.channel or "?", *(_percent(share.credit_micros) for share in shares))
    if any(model.unattributed_reason for model in models):
        table.add_row("nobody", *("100.0000" if model.unattributed_reason else "-" for model in models), style="yellow")
    return table


def reasons_line(explanation: Explanation) -> str:
    """Returns why models left the conversion to nobody; empty if none did."""
    from tributary.attribution.v1.credit_pb2 import UnattributedReason

    reasons = {
        _words(UnattributedReason.Name(model.unattributed_reason), "UNATTRIBUTED_REASON_")
        for model in explanation.models
        if model.unattributed_reason
    }
    return f"nobody earned it: {', '.join(sorted(reasons))}" if reasons else ""


def division_table(model: ExplainedModel, currency: str) -> Table:
    """Returns one model's division step by step."""
    from tributary.attribution.v1.explanation_pb2 import NoShareReason

    value = f"value {currency}".strip()
    table = _table(
        ("age", 14), ("from", 17), ("weight", 20), ("credit", 10), (value, 14), ("because", 15), right=(2, 3, 4)
    )
    for share in model.shares:
        why = _words(NoShareReason.Name(share.no_share_reason), "NO_SHARE_REASON_") if share.no_share_reason else ""
        table.add_row(
            _age(share.age.ToMicroseconds()),
            share.source.channel or "?",
            str(share.weight),
            f"{share.credit_micros:,}{'+' if share.credit_extra else ''}",
            f"{show_micros(share.value_micros)}{'+' if share.value_extra else ''}",
            why,
        )
    return table


def data_driven_line(explanation: Explanation) -> str:
    """Returns by what data_driven is credited, with its evidence, or why it is not."""
    from tributary.attribution.v1.explanation_pb2 import NoModelReason

    shown = explanation.data_driven
    model, evidence = shown.model, ""
    if shown.HasField("model"):
        chance = Decimal(model.conversion_probability_picos).scaleb(-10)
        evidence = f"{model.paths} paths, {model.conversions} conversions, P(conversion) {chance:.4f}%"
    if not shown.no_model_reason:
        return f"data_driven: model {model.version}, learned from {evidence}"
    why = _words(NoModelReason.Name(shown.no_model_reason), "NO_MODEL_REASON_")
    if model.minimum_paths or model.minimum_conversions:
        evidence += f"; a model takes {model.minimum_paths} and {model.minimum_conversions}"
    return f"data_driven is not used: {why}" + (f" ({evidence})" if evidence else "")


def beginning_line(explanation: Explanation) -> str:
    """Says how the person began, and whether they converted before; empty where that is not known."""
    if not explanation.HasField("beginning"):
        return ""
    who = "a returning customer" if explanation.returning else "a new customer"
    first = explanation.beginning.touchpoint
    if not explanation.beginning.HasField("touchpoint"):
        return f"{who}; by what touchpoint they were acquired is not known"
    return f"{who}, acquired {show_time(first.event_time)} UTC by {show_source(first.source)}"


def deleted_line(explanation: Explanation) -> str:
    """Says since when there are touchpoints, where older ones may have led to it; empty: none of these are deleted."""
    if not explanation.HasField("retained_since_time"):
        return ""
    since = show_time(explanation.retained_since_time)
    return f"Touchpoints before {since} UTC are deleted: the workspace keeps none for longer. What they earned stays."


def channels_table(explanation: Explanation) -> Table:
    """Returns what each channel of the path is worth under data_driven."""
    table = _table(("channel", 24), ("touches", 8), ("share", 12), ("removal effect", 14), right=(1, 2, 3))
    for one in explanation.data_driven.channels:
        share, effect = (Decimal(picos).scaleb(-10) for picos in (one.weight_picos, one.removal_effect_picos))
        cells = (f"{share:.6f}%", f"{effect:.6f}%") if one.known else ("unknown", "unknown")
        table.add_row(one.channel, str(one.touches), *cells)
    return table


def revisions_table(revisions: Iterable[RevisionSummary]) -> Table:
    """Returns the revisions with their causes."""
    from tributary.attribution.v1.conversion_pb2 import RevisionCause

    table = _table(("revision", 23), ("because of", 24), ("events", 24), ("value", 14), ("touches", 7), right=(3, 4))
    for one in revisions:
        causes = ", ".join(_words(RevisionCause.Name(cause), "REVISION_CAUSE_") for cause in one.causes)
        value = show_money(one.value) if one.counted else "not counted"
        table.add_row(show_time(one.publish_time), causes, ", ".join(one.causing_event_ids), value, str(one.touches))
    return table


def deliveries_table(deliveries: Sequence[Delivery]) -> Table:
    """Returns what was sent where."""
    from tributary.delivery.v1.delivery_pb2 import DeliveryOperation, DeliveryState, IneligibleReason

    table = _table(
        ("delivery", 23), ("destination", 20), ("operation", 10), ("state", 12), ("attempts", 8), ("because", 22)
    )
    for one in deliveries:
        why = one.message
        if one.ineligible_reason:
            why = _words(IneligibleReason.Name(one.ineligible_reason), "INELIGIBLE_REASON_")
        table.add_row(
            show_time(one.attempt_time if one.HasField("attempt_time") else one.plan_time),
            one.destination_id,
            _words(DeliveryOperation.Name(one.operation), "DELIVERY_OPERATION_"),
            _words(DeliveryState.Name(one.state), "DELIVERY_STATE_"),
            str(one.attempts),
            why,
        )
    return table


def decision_line(decision: QuarantineRecord) -> str:
    """Returns what was decided about an event in quarantine, as a line."""
    from tributary.dedup.v1.quarantine_pb2 import QuarantineAction

    word = QuarantineAction.Name(decision.action).removeprefix("QUARANTINE_ACTION_").lower()
    why = f": {decision.reason}" if decision.reason else ""
    return f"{decision.event_id}: {word} at {show_time(decision.decide_time)} UTC by {decision.decided_by}{why}"


def show_time(time: Timestamp) -> str:
    """Returns a moment to the millisecond, in UTC."""
    moment = time.ToDatetime()
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}"


def show_micros(micros: int) -> str:
    """Returns an amount without zeros that say nothing.

    >>> show_micros(30_000_000), show_micros(33_333_334), show_micros(-5)
    ('30.00', '33.333334', '-0.000005')
    """
    text = f"{Decimal(micros).scaleb(-6):f}"
    whole, _, rest = text.partition(".")
    return f"{whole}.{rest.rstrip('0').ljust(2, '0')}"


def show_money(money: Money) -> str:
    """Returns an amount with its currency; a dash where none is known."""
    return f"{show_micros(money.amount_micros)} {money.currency_code}" if money.currency_code else "-"


def value_lines(state: ConversionState) -> list[str]:
    """Says whose credit it has, which part of a value is credited, what that is in the reporting currency, what is odd.

    Nothing where it is plain.
    """
    from tributary.attribution.v1.conversion_pb2 import InheritanceReason, ValueBasis

    lines = []
    if state.HasField("inherited_from"):
        origin = state.inherited_from
        what = {
            InheritanceReason.INHERITANCE_REASON_LEAD_ROOT: "how its lead began",
            InheritanceReason.INHERITANCE_REASON_SAME_ORDER: "the same order, as another observer told it",
        }.get(origin.reason, "the first payment of its subscription")
        lines.append(f"credited as {origin.conversion_id} of {show_time(origin.conversion_time)}: {what}")
    if state.HasField("merged_into"):
        lines.append(f"counted as {state.merged_into.conversion_id}: the same order, with its cycle")
    if state.superseded_by:
        lines.append(f"superseded by {state.superseded_by}: a later stage of its lead")
    if state.value_basis:
        basis = ValueBasis.Name(state.value_basis).removeprefix("VALUE_BASIS_").lower()
        parts = ", ".join(
            f"{field.name.removesuffix('_micros')} {show_micros(value)}" for field, value in state.amounts.ListFields()
        )
        said = f"credited {basis}: of {show_money(state.original_value)} as sent ({parts or 'no parts'})"
        if state.missing_amounts:
            names = ", ".join(name.removesuffix("_micros") for name in state.missing_amounts)
            said += f"; as sent, because nobody sent {names}"
        lines.append(said)
    if state.rate_picos:
        day = state.rate_date
        rate = f"{Decimal(state.rate_picos).scaleb(-12):f}".rstrip("0").rstrip(".")
        lines.append(f"{show_money(state.reporting_value)} at {rate} of {day.year}-{day.month:02}-{day.day:02}")
    return [*lines, *(_odd_line(kind) for kind in state.findings)]


def _odd_line(kind: FindingKind.ValueType) -> str:
    """Returns what is odd about a conversion, as a line.

    >>> _odd_line(13)
    'over refunded: More was taken off than it was worth, or it was restated below zero: its value is 0.'
    """
    from tributary.attribution.v1.finding_pb2 import FindingKind
    from tributary_domain.findings import ODD_CONVERSIONS

    name = FindingKind.Name(kind).removeprefix("FINDING_KIND_")
    text = next((text for odd, text in ODD_CONVERSIONS.items() if odd == name), "")
    return f"{_words(name, '')}: {text}" if text else _words(name, "")


def show_source(source: TouchSource) -> str:
    """Returns where a touch came from, in short."""
    more = " / ".join(part for part in (source.source, source.medium) if part and not part.startswith("("))
    return f"{source.channel or '?'}{f' ({more})' if more else ''}"


def _outcome(touchpoint: Any) -> str:
    from tributary.attribution.v1.explanation_pb2 import TouchpointExclusion
    from tributary.event.v1.verdict_pb2 import ReasonCode

    if touchpoint.credited:
        return "credited"
    outcome = _words(TouchpointExclusion.Name(touchpoint.exclusion), "TOUCHPOINT_EXCLUSION_")
    if touchpoint.folded_into_event_id:
        return f"{outcome} into {touchpoint.folded_into_event_id}"
    reasons = ", ".join(_words(ReasonCode.Name(code), "REASON_CODE_") for code in touchpoint.quarantine_reasons)
    return f"{outcome}: {reasons}" if reasons else outcome


def _words(name: str, prefix: str) -> str:
    return name.removeprefix(prefix).lower().replace("_", " ")


def _percent(micros: int) -> str:
    """Returns millionths in percent, exactly; a dash for none.

    >>> _percent(333_334)
    '33.3334'
    """
    return f"{Decimal(micros).scaleb(-4):.4f}" if micros else "-"


def _age(micros: int) -> str:
    """Returns how long before, in days, hours, minutes and seconds.

    >>> _age(90_061_000_000)
    '1d 01:01:01'
    """
    sign, seconds = ("-", -micros // 1_000_000) if micros < 0 else ("", micros // 1_000_000)
    days, rest = divmod(seconds, 86_400)
    return f"{sign}{days}d {rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"


def _table(*columns: tuple[str, int], right: Iterable[int] = ()) -> Table:
    """Returns an empty table whose columns are at most this wide; longer texts are folded."""
    from rich.table import Table

    aligned = set(right)
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for place, (name, width) in enumerate(columns):
        table.add_column(name, max_width=width, overflow="fold", justify="right" if place in aligned else "left")
    return table
