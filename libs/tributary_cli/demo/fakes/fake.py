"""What the fake destinations share. The one rule: a fake counts what the real one would count, repeats included."""

from __future__ import annotations

import json
import re
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, ClassVar, Final

from tributary_runtime.clock import SystemClock

DAY_SECONDS: Final = 86_400
HASH: Final = re.compile(r"[0-9a-f]{64}")
_DEVICE_ID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_ZEROS: Final = frozenset("0-")


@dataclass(frozen=True, slots=True)
class Ask:
    """One request."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    method: str = "POST"

    def json(self) -> Any:
        """Returns the body; numbers with a fraction are exact. None where it is no JSON."""
        try:
            return json.loads(self.body, parse_float=Decimal)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered."""

    status: int
    body: Mapping[str, Any] | Sequence[Any] = field(default_factory=dict)
    """Of JSON."""
    headers: Mapping[str, str] = field(default_factory=dict)


class Fake(ABC):
    """A destination that counts.

    Args:
        token: The access token that it takes.
        unix_seconds: Tells time; the machine's unless given.
    """

    name = ""

    def __init__(self, token: str, unix_seconds: Callable[[], float] | None = None) -> None:
        clock = SystemClock()
        self.token = token
        self.unix_seconds = unix_seconds or (lambda: clock.unix_micros() / 1e6)
        self.counted: Counter[str] = Counter()
        """Visible id -> how often it is a conversion in its reports."""
        self.values: dict[str, Decimal] = {}
        """Visible id -> what it is worth there, where it has a value."""
        self.events: dict[str, Any] = {}
        """Visible id -> the event as it was taken last."""
        self.requests = self.refused = self.repeats = 0
        """Requests; those refused as a whole; events that were known."""
        self.poison: set[str] = set()
        """Visible ids that it takes for invalid, whatever the event is."""
        self.throttles = 0
        """How many of the next requests are too many."""
        self.expired: set[str] = set()
        """Access tokens that it took once: some destinations tell such from wrong ones."""
        self.takes_the_rest = False
        """Whether what is wrong is refused alone, where a destination may do that or refuse all."""
        self.lock = threading.Lock()

    @property
    def accepted(self) -> int:
        """How many conversions are in its reports."""
        return sum(self.counted.values())

    def answer(self, ask: Ask) -> Reply:
        """Answers one request; one at a time."""
        with self.lock:
            self.requests += 1
            if self.throttles:
                self.throttles -= 1
                return self.too_many()
            reply = self.take(ask)
            self.refused += reply.status >= 400
            return reply

    @abstractmethod
    def take(self, ask: Ask) -> Reply:
        """Takes what is to be taken; each destination says what that is."""

    def too_many(self) -> Reply:
        """Returns what is answered to one request too many."""
        return Reply(429, {"message": "Too many requests"}, {"retry-after": "1"})

    def tag(self, name: str, visible_id: str, value: Any) -> None:
        """Hears of a conversion from the browser's tag: what it knows by its id it counts no more."""
        with self.lock:
            self.count_once(name, visible_id, {"tag": name}, value)

    def count_once(self, name: str, visible_id: str, event: Any, value: Any) -> None:
        """Counts a conversion unless it is known.

        Args:
            name: What the destination calls it: for some of them, part of what it is known by.
            visible_id: By which it is known for ever; where there is none it is always another one.
            event: As it was taken.
            value: What it is worth.
        """
        del name
        if visible_id and visible_id in self.counted:
            self.repeats += 1
        else:
            self.count(visible_id, event, value)

    def count(self, visible_id: str, event: Any, value: Any) -> None:
        """Counts a conversion once more."""
        self.counted[visible_id] += 1
        self.note(visible_id, event, value)

    def note(self, visible_id: str, event: Any, value: Any) -> None:
        """Keeps what is said of a conversion now."""
        self.events[visible_id] = event
        amount = number(value)
        if amount is not None:
            self.values[visible_id] = amount


class Upserts(Fake):
    """Holds each object once."""

    def upsert(self, object_id: str, event: Any, value: Any) -> bool:
        """Makes or changes one; tells whether it is new."""
        is_new = object_id not in self.counted
        self.repeats += not is_new
        (self.count if is_new else self.note)(object_id, event, value)
        return is_new


class ForgetsIds(Fake):
    """Knows an id of a name for 48 hours after it came first, and then no more."""

    known_seconds: ClassVar[float] = 48 * 3600.0

    def __init__(self, token: str, unix_seconds: Callable[[], float] | None = None) -> None:
        super().__init__(token, unix_seconds)
        self._first_seconds: dict[tuple[str, str], float] = {}

    def count_once(self, name: str, visible_id: str, event: Any, value: Any) -> None:
        """Counts a conversion unless it came in the last 48 hours."""
        now = self.unix_seconds()
        first = self._first_seconds.get((name, visible_id))
        if visible_id and first is not None and now - first <= self.known_seconds:
            self.repeats += 1
            return
        self._first_seconds[name, visible_id] = now
        self.count(visible_id, event, value)


def number(value: Any) -> Decimal | None:
    """Returns a number, or a text that is one, exactly; None if it is neither."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        return None
    try:
        return Decimal(value)
    except InvalidOperation:
        return None


def are_hashes(fields: Mapping[str, Any], names: Iterable[str]) -> bool:
    """Tells whether the fields of these names, as far as they are there, hold hashes."""
    return all(is_hash(fields[name]) for name in names if name in fields)


def are_device_ids(fields: Mapping[str, Any], *names: str) -> bool:
    """Tells whether the fields of these names, as far as they are there, hold advertising ids, plain; not zeros."""
    values = [fields[name] for name in names if name in fields]
    return all(isinstance(one, str) and _DEVICE_ID.fullmatch(one) and not set(one) <= _ZEROS for one in values)


def is_hash(value: Any) -> bool:
    """Tells whether a value is SHA-256 in lower-case hex, or a list of such."""
    values = value if isinstance(value, list) else [value]
    return bool(values) and all(isinstance(one, str) and HASH.fullmatch(one) is not None for one in values)
