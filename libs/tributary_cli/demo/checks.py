"""Compares what the system ended up with, seen from outside, with the truth: one row per promise that can be counted.

What is expected is counted by the generator; what is actual is read from ClickHouse, from a report, or at the receiver.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from tributary_cli.demo.fakes.webhook import FakeWebhook
from tributary_cli.demo.script import PERSONAL_DATA_MARK, Script
from tributary_cli.demo.traffic import Tally
from tributary_cli.demo.truth import MODELS, UNATTRIBUTED, TrueConversion, channel_totals
from tributary_cli.demo.warehouse import Warehouse

_MICROS: Final = 1_000_000
_NO_VALUE: Final = {"amount_micros": 0}
_FIXED_POINT: Final = 1e-7
"""How far time decay's fixed point (24 fraction bits) may be from the true power, as a share of the value."""


@dataclass(frozen=True, slots=True)
class Range:
    """The least and the most that a number may be, where chance decides between them."""

    least: int
    most: int

    def __str__(self) -> str:
        """Returns it for people."""
        return f"{self.least}..{self.most}"


@dataclass(frozen=True, slots=True)
class Check:
    """A promise as two numbers from independent sides."""

    name: str
    ok: bool
    expected: int | Range
    actual: int


def equal(name: str, expected: int, actual: int) -> Check:
    """Returns the check that two counts are the same."""
    return Check(name, expected == actual, expected, actual)


def within(name: str, least: int, most: int, actual: int) -> Check:
    """Returns the check that a count is in a range, ends included."""
    return Check(name, least <= actual <= most, least if least == most else Range(least, most), actual)


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything the checks look at."""

    script: Script
    tally: Tally
    truth: dict[str, TrueConversion]
    probes: list[str]
    """Event ids of the probes: conversions of their own, without a touch."""
    counters: dict[str, int]
    """The verdicts as the claim script counted them."""
    report: dict[str, dict[str, tuple[int, int]]]
    """Model -> channel -> (credited conversions, credited value), both in micros, probes left out."""
    received: FakeWebhook


async def run_checks(findings: Findings, warehouse: Warehouse) -> list[Check]:
    """Returns all checks, in the order of the promises."""
    stored = {
        row["event_id"]: row["copies"]
        for row in await warehouse.rows(
            "SELECT event_id, count() AS copies FROM events FINAL "
            "WHERE workspace = {workspace:String} GROUP BY event_id"
        )
    }
    conversions = await warehouse.rows(_CONVERSIONS)
    revisions = await warehouse.rows(_REVISIONS)
    refused = {
        row["verdict"]: row["rows"]
        for row in await warehouse.rows(
            "SELECT verdict, count() AS rows FROM refusals FINAL WHERE workspace = {workspace:String} GROUP BY verdict"
        )
    }
    in_clear = await warehouse.number(_IN_CLEAR)
    return [
        *_kept(findings, stored),
        *_counted_once(findings, conversions),
        *_nothing_vanishes(findings, refused),
        *_credit_adds_up(findings, conversions),
        *_every_change_has_a_cause(findings, revisions),
        *_delivered_once(findings, conversions),
        equal("no plain personal data in ClickHouse", 0, in_clear),
    ]


_CONVERSIONS: Final = f"""
SELECT
    conversion_id, name, if(order_id = '', observation_event_ids[1], order_id) AS key, currency, value_micros, counted,
    touch_channels, touch_times,
    {", ".join(f"{model}_credit_micros, {model}_value_micros" for model in MODELS)}
FROM conversions FINAL WHERE workspace = {{workspace:String}}
"""  # noqa: S608 - made of our own constants

_REVISIONS: Final = """
SELECT conversion_id, causes, value_delta_micros, counted_delta
FROM conversion_revisions FINAL WHERE workspace = {workspace:String} ORDER BY conversion_id, revision
"""

_IN_CLEAR: Final = f"""
SELECT sum(hits) FROM (
    SELECT countIf(positionCaseInsensitive(toString(tuple(*)), '{PERSONAL_DATA_MARK}') > 0) AS hits FROM events
    UNION ALL
    SELECT countIf(positionCaseInsensitive(toString(tuple(*)), '{PERSONAL_DATA_MARK}') > 0) FROM refusals
    UNION ALL
    SELECT countIf(positionCaseInsensitive(toString(tuple(*)), '{PERSONAL_DATA_MARK}') > 0) FROM conversion_revisions
)
"""  # noqa: S608 - made of our own constants


def _kept(findings: Findings, stored: dict[str, int]) -> Iterable[Check]:
    must = findings.script.stored_event_ids() | set(findings.probes)
    yield equal("acknowledged events are stored", len(must), len(must & stored.keys()))
    yield equal("nothing else is stored", 0, len(stored.keys() - must))
    yield equal("no event is stored twice", 0, sum(copies > 1 for copies in stored.values()))


def _counted_once(findings: Findings, conversions: list[dict[str, Any]]) -> Iterable[Check]:
    keys = [row["key"] for row in conversions if row["counted"] and row["key"] not in findings.probes]
    yield equal("every conversion is counted", len(findings.truth), len(set(keys) & findings.truth.keys()))
    yield equal("no conversion is counted twice", 0, len(keys) - len(set(keys)))
    merged = sum(conversion.merged for conversion in findings.truth.values())
    yield equal("orders seen by browser and backend are one", merged, _merged(findings))


def _merged(findings: Findings) -> int:
    """How many pairs of observations were answered with one conversion id."""
    ids = findings.tally.conversion_ids
    return sum(
        ids[event_id] == ids.get(event_id.removesuffix("-backend")) for event_id in ids if event_id.endswith("-backend")
    )


def _nothing_vanishes(findings: Findings, refused: dict[str, int]) -> Iterable[Check]:
    expected, counters, resent = findings.script.verdicts(), findings.counters, findings.tally.resent
    probes = len(findings.probes)  # accepted too, and not of the script
    yield equal("accepted", expected["accepted"], counters["accepted"] - probes)
    yield within("duplicate", expected["duplicate"], expected["duplicate"] + resent, counters["duplicate"])
    yield within("conflict", expected["conflict"], expected["conflict"] + resent, counters["conflict"])
    yield within("rejected", expected["rejected"], expected["rejected"] + resent, counters["rejected"])
    yield equal("quarantined", expected["quarantined"], counters["quarantined"])
    sent = findings.tally.sent
    yield within("received is what was sent", sent, sent + resent, counters["received"] - probes)
    yield equal("unexpected verdicts at the caller", 0, len(findings.tally.surprises))
    yield equal("conflicts are found again", counters["conflict"], refused.get("CONFLICT", 0))
    yield equal("rejections are found again", counters["rejected"], refused.get("REJECTED", 0))


def _credit_adds_up(findings: Findings, conversions: list[dict[str, Any]]) -> Iterable[Check]:
    for model in MODELS:
        short = sum(
            sum(row[f"{model}_credit_micros"]) != _MICROS or sum(row[f"{model}_value_micros"]) != row["value_micros"]
            for row in conversions
            if row["counted"]
        )
        wrong = sum(
            not _as_true(row, model, findings.truth[row["key"]]) for row in conversions if row["key"] in findings.truth
        )
        yield equal(f"{model}: conversions whose credit does not add up", 0, short)
        yield equal(f"{model}: conversions credited otherwise than in truth", 0, wrong)
    yield equal("reports: channels that differ from truth", 0, len(_report_differences(findings)))


def _as_true(row: dict[str, Any], model: str, truth: TrueConversion) -> bool:
    """Whether one conversion's credit is the true one, to the micro that rounding may move."""
    channels = truth.touches or (UNATTRIBUTED,)
    shares = truth.shares[model] if truth.touches else (Fraction(1),)
    return (
        tuple(row["touch_channels"]) == channels
        and row["value_micros"] == truth.value_micros
        and all(
            abs(credit - share * _MICROS) <= 1
            and abs(value - share * truth.value_micros) <= 1 + truth.value_micros * _FIXED_POINT
            for credit, value, share in zip(
                row[f"{model}_credit_micros"], row[f"{model}_value_micros"], shares, strict=True
            )
        )
    )


def _report_differences(findings: Findings) -> list[str]:
    """Returns "model/channel" of the report's rows that differ by more than rounding."""
    differences = []
    slack = sum(max(1, len(conversion.touches)) for conversion in findings.truth.values())  # each may be rounded
    for model, channels in channel_totals(findings.truth).items():
        reported = findings.report.get(model, {})
        for channel in channels.keys() | reported.keys():
            count, value = channels.get(channel, (Fraction(0), Fraction(0)))
            found_count, found_value = reported.get(channel, (0, 0))
            if (
                abs(found_count - count * _MICROS) > slack
                or abs(found_value - value) > slack + float(value) * _FIXED_POINT
            ):
                differences.append(f"{model}/{channel}")
    return differences


def _every_change_has_a_cause(findings: Findings, revisions: list[dict[str, Any]]) -> Iterable[Check]:
    yield equal("revisions without a cause", 0, sum(not row["causes"] for row in revisions))
    first: dict[str, list[str]] = {}
    later: dict[str, set[str]] = {}
    for row in revisions:
        if first.setdefault(row["conversion_id"], row["causes"]) is not row["causes"]:
            later.setdefault(row["conversion_id"], set()).update(row["causes"])
    yield equal(
        "conversions that begin with cause initial", len(first), sum("initial" in one for one in first.values())
    )
    # A refund that was sent ahead of its order, by another connection, may still have come after it.
    least = sum(conversion.refunded_later for conversion in findings.truth.values())
    most = sum(conversion.refunded for conversion in findings.truth.values())
    yield within("conversions revised by a refund", least, most, sum("refund" in causes for causes in later.values()))
    touched = sum(conversion.touched_late for conversion in findings.truth.values())
    revised = sum("late_touchpoint" in causes for causes in later.values())
    yield within("conversions revised by a late touchpoint, at least", touched, len(findings.truth), revised)
    deltas = sum(row["value_delta_micros"] for row in revisions)
    yield equal("deltas sum to the value", sum(one.value_micros for one in findings.truth.values()), deltas)
    counted = sum(row["counted_delta"] for row in revisions)
    yield equal("deltas sum to the count", len(findings.truth) + len(findings.probes), counted)


def _delivered_once(findings: Findings, conversions: list[dict[str, Any]]) -> Iterable[Check]:
    received = findings.received
    must = {row["conversion_id"]: row for row in conversions if row["counted"]}
    yield equal("conversions delivered", len(must), len(must.keys() & received.counted.keys()))
    yield equal("conversions created twice at the receiver", 0, sum(count > 1 for count in received.counted.values()))
    yield equal("bad signatures", 0, received.bad_signatures)
    stale = sum(
        int((received.events[conversion_id]["value"] or _NO_VALUE)["amount_micros"]) != row["value_micros"]
        for conversion_id, row in must.items()
        if conversion_id in received.events
    )
    yield equal("receiver's newest value differs from the truth", 0, stale)
