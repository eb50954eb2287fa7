"""Shows a run: live while it goes on, then credit by channel, latencies, verdicts, deliveries and the checks."""

from __future__ import annotations

import statistics
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from tributary_cli.demo.checks import Check, Range
from tributary_cli.demo.destinations import as_text
from tributary_cli.demo.run import Result
from tributary_cli.demo.truth import MODELS

_MICROS: Final = 1_000_000
_PERCENTILES: Final = (50, 95, 99)


def percentiles_ms(seconds: list[float]) -> dict[str, float]:
    """Returns p50, p95 and p99 in milliseconds; zeros where nothing was measured."""
    if len(seconds) < 2:
        value = round(seconds[0] * 1000, 1) if seconds else 0.0
        return {f"p{percent}": value for percent in _PERCENTILES}
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return {f"p{percent}": round(cuts[percent - 1] * 1000, 1) for percent in _PERCENTILES}


def as_json(result: Result) -> dict[str, Any]:
    """Returns the run for programs."""
    names = ("accepted", "duplicate", "conflict", "rejected", "quarantined")
    return {
        "sent": result.tally.sent,
        "probes": result.probes,
        "resent": result.tally.resent,
        "seconds": round(result.seconds, 1),
        "verdicts": {name: result.tally.verdicts[name] for name in names},
        "conversions": result.conversions,
        "deliveries": {"sent": result.received.requests, "unique_received": len(result.received.counted)},
        "destinations": {
            one.kind: {
                "expected": len(one.must),
                "accepted": len(one.counted),
                "value_micros": one.value_micros,
                "true_value_micros": one.true_micros,
                "undeliverable_micros": one.residual_micros,
                "requests": one.requests,
            }
            for one in result.destinations
        },
        "models": {
            model: {
                channel: {"conversions": count / _MICROS, "value_micros": value}
                for channel, (count, value) in sorted(channels.items())
            }
            for model, channels in result.report.items()
        },
        "latency_ms": {
            "ack": percentiles_ms(result.tally.ack_seconds),
            "event_to_report": percentiles_ms(result.event_to_report_seconds),
        },
        "integrity": [
            {"name": check.name, "ok": check.ok, "expected": _expected(check), "actual": check.actual}
            for check in result.checks
        ],
        "samples": {"ack": len(result.tally.ack_seconds), "event_to_report": len(result.event_to_report_seconds)},
        "missing": result.script.missing(),
    }


def _expected(check: Check) -> int | dict[str, int]:
    """Returns a number, or the least and the most it may be."""
    expected = check.expected
    return {"min": expected.least, "max": expected.most} if isinstance(expected, Range) else expected


def show_result(console: Console, result: Result) -> None:
    """Prints the run for people; fits 80 columns."""
    console.print(_credit(result))
    console.print(_numbers(result))
    console.print(_destinations(result))
    console.print(_integrity(result))
    for surprise in result.tally.surprises:
        console.print(surprise, style="red", highlight=False)
    missing = result.script.missing()
    if missing:
        console.print(
            f"So small a world has no {', no '.join(missing)}: checks of these hold because there is nothing to check.",
            style="yellow",
        )
    failed = sum(not check.ok for check in result.checks)
    if failed:
        console.print(f"[bold red]{failed} of {len(result.checks)} checks failed.[/bold red]")
    else:
        console.print(f"[bold green]All {len(result.checks)} checks hold.[/bold green] ({result.seconds:.0f} s)")


def _credit(result: Result) -> Table:
    table = Table(title="Credited conversions by channel, under every model", box=None, pad_edge=False)
    table.add_column("channel", style="bold")
    for model in MODELS:
        table.add_column(model.replace("_", " "), justify="right", overflow="fold", max_width=10)
    channels = sorted({channel for rows in result.report.values() for channel in rows})
    for channel in channels:
        counts = (result.report[model].get(channel, (0, 0))[0] / _MICROS for model in MODELS)
        table.add_row(channel, *(f"{count:,.2f}" for count in counts))
    sums = (sum(count for count, _ in result.report[model].values()) / _MICROS for model in MODELS)
    table.add_row("all", *(f"{total:,.2f}" for total in sums), style="bold", end_section=True)
    return table


def _numbers(result: Result) -> Table:
    table = Table(title="What was sent and how long it took", box=None, pad_edge=False)
    table.add_column("", style="bold")
    table.add_column("")
    verdicts = ", ".join(f"{name} {count:,}" for name, count in sorted(result.tally.verdicts.items()))
    table.add_row("events sent", f"{result.tally.sent:,} ({result.tally.resent:,} of them again)")
    table.add_row("verdicts", verdicts)
    table.add_row("probes", f"{result.probes:,} conversions beside them, to measure how soon a report has them")
    received = result.received
    table.add_row(
        "webhooks",
        f"{received.requests:,} requests, {len(received.counted):,} conversions, {received.repeats:,} repeats, "
        f"{received.refused_on_purpose:,} refused on purpose",
    )
    for name, seconds in (("ack", result.tally.ack_seconds), ("event to report", result.event_to_report_seconds)):
        cuts = percentiles_ms(seconds)
        shown = ", ".join(f"{percent} {value:,.1f} ms" for percent, value in cuts.items())
        table.add_row(name, f"{shown} (of {len(seconds):,})")
    return table


def _destinations(result: Result) -> Table:
    table = Table(title="What the ad destinations have, against the truth", box=None, pad_edge=False)
    table.add_column("destination", style="bold")
    for name in ("should have", "accepted", "reported EUR", "in truth EUR", "not correctable", "requests", "failed"):
        table.add_column(name, justify="right", overflow="fold", max_width=11)
    for one in result.destinations:
        table.add_row(
            one.kind,
            f"{len(one.must):,}",
            f"{len(one.counted):,}",
            *(as_text(micros) for micros in (one.value_micros, one.true_micros, one.residual_micros)),
            f"{one.requests:,}",
            f"{one.failures:,}",
        )
    return table


def _integrity(result: Result) -> Table:
    table = Table(title="The promises, against the generator's truth", box=None, pad_edge=False)
    table.add_column("")
    table.add_column("check")
    table.add_column("expected", justify="right")
    table.add_column("actual", justify="right")
    for check in result.checks:
        mark = "[green]ok[/green]" if check.ok else "[bold red]FAILED[/bold red]"
        table.add_row(mark, check.name, f"{check.expected}", f"{check.actual}")
    return table
