"""Sends hostile requests to a running door and watches it: no crash, no hang, no INTERNAL, memory flat."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from tests.support.door import METHOD, Door
from tests.support.hostile import request
from tributary.event.v1.verdict_pb2 import Verdict
from tributary.ingestion.v1.ingestion_service_pb2 import IngestEventsResponse
from tributary_cli.stack.process import ChildProcess
from tributary_runtime.clock import SystemClock

ALLOWED = frozenset({"OK", "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED"})
"""What a door says to a caller with a good key, whatever is sent."""
CALL_SECONDS = 60.0
FLIGHT = 16
_OPTIONS = (("grpc.max_send_message_length", -1),)


@dataclass
class Fuzzed:
    """What came of it."""

    codes: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    """Of the events: what is never let in is never recorded, and says nothing of what comes behind the door."""
    bad: list[str] = field(default_factory=list)
    """Kind, code and text of answers that may not be; the first few."""
    memory_bytes: list[dict[str, int]] = field(default_factory=list)
    """Resident memory of each process, taken along the way."""

    def growth(self, process: str) -> float:
        """Returns how memory at rest grew from the second quarter of the run to the last, as a factor.

        At rest, because a message of 20 MiB is memory too, as long as it is there; from the second quarter, because
        caches fill in the first.
        """
        taken = [one[process] for one in self.memory_bytes]
        quarter = len(taken) // 4
        return min(taken[-quarter:]) / min(taken[quarter : 2 * quarter])


SAMPLES = 40


async def fuzz(door: Door, requests: int, seed: int) -> Fuzzed:
    """Sends that many requests, several at once."""
    fuzzed, numbers = Fuzzed(), itertools.count()
    now_seconds = SystemClock().unix_micros() // 1_000_000
    metadata = [("authorization", f"Bearer {door.keys['shop']}")]
    processes = {"ingestion": door.ingestion, "dedup": door.dedup}
    fuzzed.memory_bytes.append({name: _resident(process) for name, process in processes.items()})
    async with grpc.aio.insecure_channel(door.ingestion.address, options=_OPTIONS) as channel:
        call = channel.unary_unary(METHOD)

        async def worker() -> None:
            while (number := next(numbers)) < requests:
                kind, body = request(random.Random(f"{seed}-{number}"), now_seconds)
                code, text = "OK", ""
                try:
                    answer = await call(body, metadata=metadata, timeout=CALL_SECONDS)
                    verdicts = IngestEventsResponse.FromString(answer).verdicts
                    fuzzed.verdicts.update(Verdict.Name(one.verdict) for one in verdicts)
                except grpc.aio.AioRpcError as error:
                    code, text = error.code().name, error.details() or ""
                fuzzed.codes[code] += 1
                fuzzed.kinds[kind] += 1
                if code not in ALLOWED and len(fuzzed.bad) < 20:
                    fuzzed.bad.append(f"request {number} ({kind}): {code} {text[:200]}")
                if number % max(1, requests // SAMPLES) == 0:
                    taken = {name: _resident(process) for name, process in processes.items()}
                    fuzzed.memory_bytes.append(taken)

        await asyncio.gather(*[worker() for _ in range(FLIGHT)])
    fuzzed.memory_bytes.append({name: _resident(process) for name, process in processes.items()})
    return fuzzed


def _resident(process: ChildProcess) -> int:
    pages = Path(f"/proc/{process.pid}/statm").read_text().split()[1]
    return int(pages) * 4096
