"""The one thread of a client: does what is posted, when it is due, and then whatever there is to do.

The one rule: what the client decides, it decides on this thread, one thing after the other. It is started by the first
thing to do, so a client that has done nothing has no thread, and may be copied by a fork.
"""

from __future__ import annotations

import heapq
import logging
import threading
from collections import deque
from collections.abc import Callable
from itertools import count
from math import inf

from tributary_client.clock import Clock

Job = Callable[[], None]

log = logging.getLogger("tributary_client")

_CHECK_SECONDS = 1.0


class Worker:
    """A thread that runs jobs.

    Args:
        step: Called after jobs, and when the time has come that it returned the last time; returns when to call it
            again, in monotonic seconds. Infinity: after the next job.
        clock: Tells the time.
    """

    def __init__(self, step: Callable[[float], float], clock: Clock) -> None:
        self._step = step
        self._clock = clock
        self._woken = threading.Condition(threading.Lock())
        self._jobs: deque[Job] = deque()
        self._timers: list[tuple[float, int, Job]] = []
        self._order = count()
        self._is_nudged = False
        self._is_stopping = False
        self._has_ended = False
        self._thread: threading.Thread | None = None

    @property
    def is_current(self) -> bool:
        """Whether the caller is the thread itself, which must not wait for what only it can do."""
        return threading.current_thread() is self._thread

    def post(self, job: Job) -> bool:
        """Runs a job soon; from any thread. Tells whether: not once the thread has ended."""
        with self._woken:
            if self._has_ended:
                return False
            self._jobs.append(job)
            self._wake()
        return True

    def nudge(self) -> None:
        """Calls `step` soon; from any thread."""
        with self._woken:
            self._is_nudged = True
            self._wake()

    def call_at(self, time: float, job: Job) -> None:
        """Runs a job later; only from a job."""
        heapq.heappush(self._timers, (time, next(self._order), job))

    def stop(self, timeout: float) -> bool:
        """Ends the thread once it has done what was posted; tells whether it has ended in time."""
        with self._woken:
            self._is_stopping = True
            thread = self._thread
            self._has_ended = self._has_ended or thread is None
            self._woken.notify()
        if thread is None or self.is_current:
            return True
        thread.join(max(0.0, timeout))
        return not thread.is_alive()

    def _wake(self) -> None:
        if self._thread is None and not self._has_ended:
            self._thread = threading.Thread(target=self._run, name="tributary-client", daemon=True)
            self._thread.start()
        self._woken.notify()

    def _run(self) -> None:
        due = -inf
        while True:
            with self._woken:
                while not (self._jobs or self._is_nudged or self._is_stopping):
                    pause = min(due, self._timers[0][0] if self._timers else inf) - self._clock.monotonic()
                    if pause <= 0:
                        break
                    self._woken.wait(None if pause == inf else pause)
                self._is_nudged = False
                jobs, self._jobs = self._jobs, deque()
                if self._is_stopping and not jobs:
                    self._has_ended = True
                    return
            for job in jobs:
                self._guard(job)
            now = self._clock.monotonic()
            while self._timers and self._timers[0][0] <= now:
                self._guard(heapq.heappop(self._timers)[2])
            try:
                due = self._step(now)
            except Exception:  # a bug of ours must not end the thread that delivers
                log.exception("The client failed inside; it goes on.")
                due = now + _CHECK_SECONDS

    def _guard(self, job: Job) -> None:
        try:
            job()
        except Exception:
            log.exception("The client failed inside; it goes on.")
