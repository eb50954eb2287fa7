"""What one event costs at the door: CPU of the checks alone, and of everything ingestion does around them but gRPC.

Run it from a checkout: `python -m tests.load.intake [--events 20000] [--rounds 7] [--json FILE]`. The mix is that of
DESIGN section 12, in calls of 100. Per round each stage once, in turns; medians. The floor is parsing the request and
writing it again. Caches are as warm as they get: the first round is thrown away.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.load import mix
from tributary.dedup.v1 import dedup_service_pb2
from tributary.event.v1 import verdict_pb2
from tributary.ingestion.v1.ingestion_service_pb2 import IngestEventsRequest, IngestEventsResponse
from tributary_domain.claim_records import OUTCOME_RECORD
from tributary_ingestion import caller_events, intake, sliced, verdicts
from tributary_ingestion.admission import Outcomes
from tributary_ingestion.caller_events import Sender
from tributary_ingestion.packed import Packed
from tributary_ingestion.visits import Visits
from tributary_ingestion.workspace_rules import WorkspaceRules, compile_rules
from tributary_runtime.workspaces import Workspace

NOW = 1_795_000_000_000_000
BATCH = 100
SENDER = Sender("load", "key", backfill=False, traceparent="")
GOAL_MICROS = 12.0
"""Of the 20 that ingestion, dedup and Redis may take together."""


def rules() -> WorkspaceRules:
    """Returns the rules of a workspace that has declared a little of everything."""
    declared = {
        "id": "load",
        "pepper": {"value": "p" * 16},
        "default_region": "DE",
        "own_domains": ["shop.example"],
        "conversions": [
            {"name": "purchase", "expected_amounts": [{"currency": "EUR", "minimum": 1, "maximum": 100_000}]}
        ],
    }
    return compile_rules(Workspace.model_validate(declared))


def bodies(seed: str, count: int) -> list[bytes]:
    """Returns calls of 100 events."""
    stream = mix.events(seed, NOW)
    return [
        IngestEventsRequest(events=itertools.islice(stream, BATCH)).SerializeToString() for _ in range(count // BATCH)
    ]


class Stages:
    """What is measured, each a function of one call's bytes."""

    def __init__(self) -> None:
        self.rules = rules()
        self.visits = Visits(self.rules)

    def floor(self, body: bytes) -> None:
        """Parses a request and writes it again."""
        IngestEventsRequest.FromString(body).SerializeToString()

    def take(self, body: bytes) -> list[Packed]:
        """Parses and packs."""
        events = sliced.parse(IngestEventsRequest, body).events
        return intake.take_all(events, self.rules, NOW, backfill=False, visits=self.visits)

    def whole(self, body: bytes) -> bytes:
        """Parses, packs, asks, answers; the wire is left out."""
        packed = self.take(body)
        events = caller_events.pack(SENDER, NOW, packed, [b""] * len(packed))
        asked = dedup_service_pb2.AdmitEventsRequest(callers=caller_events.merge([events])).SerializeToString()
        del asked
        records = OUTCOME_RECORD.pack(verdict_pb2.VERDICT_ACCEPTED, 0, 0, NOW) * len(packed)
        answers = verdicts.decided(packed, Outcomes(records, 0.0))
        verdicts.tell(answers)
        return answers.field(IngestEventsResponse.VERDICTS_FIELD_NUMBER)


def measure(stages: Sequence[tuple[str, Callable[[bytes], Any]]], events: int, rounds: int) -> dict[str, float]:
    """Returns the median CPU per event of each stage, in microseconds."""
    found: dict[str, list[float]] = {name: [] for name, _ in stages}
    for round_number in range(rounds + 1):
        calls = bodies(f"round-{round_number}", events)
        for name, stage in stages:
            started = time.process_time()
            for body in calls:
                stage(body)
            if round_number:
                found[name].append(1e6 * (time.process_time() - started) / (len(calls) * BATCH))
    return {name: statistics.median(costs) for name, costs in found.items()}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    stages = Stages()
    found = measure(
        [("floor", stages.floor), ("checks", stages.take), ("whole door", stages.whole)], options.events, options.rounds
    )
    size = sum(map(len, bodies("size", 10_000))) / 10_000
    for name, micros in found.items():
        print(f"{name:>12} {micros:7.2f} us per event of {size:.0f} bytes")
    if options.json:
        figures = [
            {
                "name": f"CPU of ingestion per event, {name}",
                "value": round(micros, 2),
                "unit": "us",
                "goal": GOAL_MICROS if name == "whole door" else None,
                "ok": micros <= GOAL_MICROS if name == "whole door" else None,
            }
            for name, micros in found.items()
        ]
        machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
        options.json.write_text(json.dumps({"machine": machine, "figures": figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()
