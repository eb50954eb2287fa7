"""Whatever is appended, decided, loaded, restarted and cut off: the spool loses no open event and repeats no other."""

from __future__ import annotations

import os
import tempfile
from itertools import count
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tributary_client.entry import Entry
from tributary_client.spool import Spool, Spooling


class Spooled(RuleBasedStateMachine):
    """A spool beside what it should hold."""

    def __init__(self) -> None:
        super().__init__()
        self._temporary = tempfile.TemporaryDirectory()
        self._directory = Path(self._temporary.name)
        self._names = count()
        self._held: dict[bytes, Entry] = {}
        self._unloaded: set[bytes] = set()
        self._spool = self._open()

    def _open(self) -> Spool:
        return Spool(Spooling(self._directory, max_bytes=4_000, segment_bytes=400), "lane", count().__next__)

    @rule(sizes=st.lists(st.integers(0, 80), min_size=1, max_size=12), hold=st.booleans())
    def put(self, sizes: list[int], hold: bool) -> None:
        for size in sizes:
            self._put(size, hold=hold)

    def _put(self, size: int, *, hold: bool) -> None:
        entry = Entry(b"<%d:" % next(self._names) + b"x" * size + b">")  # no part of any other
        if not self._spool.fits(entry):
            return
        hold = hold and not self._spool.has_backlog
        assert self._spool.append(entry, hold=hold)
        if hold:
            self._held[entry.body] = entry
        else:
            self._unloaded.add(entry.body)

    @rule(events=st.integers(1, 5))
    def load(self, events: int) -> None:
        loaded = self._spool.load(events, 1 << 20)
        assert bool(loaded) == bool(self._unloaded)
        assert self._spool.take_lost() == [], "what is damaged was left out when it was opened"
        for entry in loaded:
            assert entry.body not in self._held
            self._unloaded.remove(entry.body)
            self._held[entry.body] = entry

    @rule(places=st.sets(st.integers(0, 9)))
    def settle(self, places: set[int]) -> None:
        over = [entry for place, entry in enumerate(self._held.values()) if place % 10 in places]
        self._spool.settle(over)
        for entry in over:
            del self._held[entry.body]

    @rule(is_killed=st.booleans())
    def restart(self, is_killed: bool) -> None:
        if is_killed:
            self._spool.abandon()  # what the system does: files and lock are let go, and nothing is written
        else:
            self._spool.close()
        self._unloaded |= set(self._held)
        self._held.clear()
        self._spool = self._open()

    @rule(cut=st.integers(1, 7))
    def power_cut(self, cut: int) -> None:
        """The newest file is cut short: what was cut into is gone, and no other."""
        self._spool.abandon()
        files = sorted(self._directory.glob("lane-*/*.events"))
        self._unloaded |= set(self._held)
        self._held.clear()
        if files:
            os.truncate(files[-1], max(0, files[-1].stat().st_size - cut))
            there = b"".join(file.read_bytes() for file in files)
            self._unloaded = {body for body in self._unloaded if body in there}
        self._spool = self._open()

    @invariant()
    def is_bounded(self) -> None:
        assert self._spool.bytes <= 4_000

    def teardown(self) -> None:
        self._spool.close()
        spool = self._open()
        left = {entry.body for entry in spool.load(10_000, 1 << 20)}
        spool.close()
        self._temporary.cleanup()
        assert left == self._unloaded | set(self._held)


TestSpooled = Spooled.TestCase
# Each example is up to thirty steps on a real disk.
TestSpooled.settings = settings(
    max_examples=settings.default.max_examples // 2, stateful_step_count=30, suppress_health_check=list(HealthCheck)
)
