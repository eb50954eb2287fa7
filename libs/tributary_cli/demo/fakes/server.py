"""Fake destinations over HTTP on loopback, failing as networks and servers do where they are told to."""

from __future__ import annotations

import ssl
import threading
from collections import deque
from dataclasses import dataclass

from tributary_cli.demo.fakes.fake import Ask, Fake, Reply
from tributary_cli.demo.fakes.http import Cut, LoopbackHttp


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with one request."""

    takes: bool
    """Whether it has its effect all the same."""
    reply: Reply | Cut | None = Cut.SILENT
    """What is answered instead, or how the connection ends; None: what the fake answers to what it takes."""
    until: threading.Event | None = None
    """What is waited for before that, and after the effect."""
    takes_late: bool = False
    """Whether the effect comes after the wait."""


LOST = Fault(takes=True)
"""The reply is lost after the effect."""
FAILED_AFTER = Fault(takes=True, reply=Reply(500))
"""It fails after the effect."""
REFUSED = Fault(takes=False, reply=Reply(503, headers={"retry-after": "0"}))
"""It fails before."""


class Disturbed:
    """Answers for one fake, and fails where it is told to.

    Args:
        fake: Who answers.
        fail_every: Every so many requests one fails after its effect; 0: none.
    """

    def __init__(self, fake: Fake, *, fail_every: int = 0) -> None:
        self.fake = fake
        self.faults: deque[Fault] = deque()
        """Of the next requests."""
        self.asks: list[Ask] = []
        """The requests, as they came."""
        self.asked_seconds: list[float] = []
        """When they came, by the fake's clock."""
        self.failed_on_purpose = 0
        self._fail_every = fail_every

    def respond(self, ask: Ask) -> Reply | Cut:
        """Returns what is answered."""
        self.asks.append(ask)
        self.asked_seconds.append(self.fake.unix_seconds())
        try:
            fault = self.faults.popleft()
        except IndexError:
            if not self._fail_every or len(self.asks) % self._fail_every:
                return self.fake.answer(ask)
            fault, self.failed_on_purpose = FAILED_AFTER, self.failed_on_purpose + 1
        own = self.fake.answer(ask) if fault.takes and not fault.takes_late else None
        if fault.until is not None:
            fault.until.wait()
        if fault.takes and fault.takes_late:
            own = self.fake.answer(ask)
        return fault.reply or own or Cut.SILENT


class FakeServer(Disturbed, LoopbackHttp):
    """Answers for one fake on a port of its own, inside `with`.

    Args:
        fake: Who answers.
        fail_every: As of `Disturbed`.
        tls: As of `LoopbackHttp`.
    """

    def __init__(self, fake: Fake, *, fail_every: int = 0, tls: ssl.SSLContext | None = None) -> None:
        """Binds a free port."""
        Disturbed.__init__(self, fake, fail_every=fail_every)
        LoopbackHttp.__init__(self, fake.name, self.respond, tls=tls)
