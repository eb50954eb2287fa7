"""What is said of delivery jobs: whose they are, what is planned, tried and settled, and what a destination took.

How a job goes from one to the next, and a worked example: `delivery_jobs`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

_CERTAIN: Final = re.compile(
    rb"(\d+) (-?\d+) (\d)(?: u(-?\d+)([A-Z]*))?(?: x(-?\d+))?(?: y([A-Z]+))?(?: v([a-z]+(?::-?\d+/-?\d+)?))?"
)
"""What a destination certainly took, as it is kept."""


@dataclass(frozen=True, slots=True)
class Lane:
    """One destination of one workspace: what its jobs have to themselves."""

    workspace: str
    destination: str


@dataclass(frozen=True, slots=True)
class KnownAs:
    """By what a destination knows a conversion that it was sent first: what follows says the same."""

    visible_id: str
    name: str = ""
    """What the conversion is called there; "": not known, or it has no such thing."""
    account: str = ""
    """In which account, data set or object, likewise."""
    told: str = ""
    """Which value it was told, as `sent_values` writes it; "": by an earlier version, or it is told all."""
    time_micros: int = 0
    """When it was said to have happened; 0: not known."""

    def written(self) -> str:
        """Returns it as it is kept."""
        kept = [self.visible_id, self.name, self.account, self.told, self.time_micros]
        return json.dumps(kept, ensure_ascii=False)

    @classmethod
    def read(cls, text: bytes) -> KnownAs | None:
        """Returns what was kept, also by an earlier version, which kept less; None where nothing was."""
        return cls(*json.loads(text)) if text else None


@dataclass(frozen=True, slots=True)
class PlannedRevision:
    """A revision that a destination shall get."""

    conversion_id: str
    revision: int
    previous_revision: int
    plan_micros: int
    only_if_sent: bool = False
    """Whether it is planned only if the destination may have something of the conversion."""


class Plan(Enum):
    """What became of a revision that was to be planned."""

    NEW = 1
    KNOWN = 0
    NEVER_SENT = -1
    """The destination has nothing of the conversion, and it was to be planned only if it had."""


@dataclass(frozen=True, slots=True)
class Residual:
    """By how much what a destination has is more than what is true, signed."""

    micros: int = 0
    currency: str = ""
    """Of the amount. Where what it has and what is true are in two currencies, that of what it has: all of it."""
    conversions: int = 0
    """1: it has one that never was; -1: it lacks one."""

    @property
    def is_none(self) -> bool:
        """Whether it has what is true."""
        return not self.micros and not self.conversions


NO_RESIDUAL: Final = Residual()
UNKNOWN_VALUE: Final = -2
"""Of what a destination may have another value of than was certain before."""
PASSED_ON: Final = -1
"""Of an object that is a later stage's of its lead. Earlier versions wrote it for `UNKNOWN_VALUE` as well."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a destination last took of a conversion."""

    revision: int
    value_micros: int
    """`UNKNOWN_VALUE` or `PASSED_ON`: nobody knows."""
    counted: bool
    """Whether it has the conversion: it was created or restated last, and not taken back."""
    maybe_created: int = 0
    """For what was taken back: the revision of a creation that was tried and never confirmed. 0: it was."""
    currency: str = ""
    """Of the value; "": it has none, or nobody knows."""
    residual: Residual = NO_RESIDUAL
    """What it has too much, as was written down last: what is true since it could not be told."""
    told: str = ""
    """Which value it is told, as `KnownAs.told`."""

    @property
    def is_value_unknown(self) -> bool:
        """Whether nobody knows which value the destination has, or whether it has it at all."""
        return self.value_micros in (UNKNOWN_VALUE, PASSED_ON)

    def written(self) -> str:
        """Returns it as it is kept."""
        if self.maybe_created:
            return f"{self.revision} -1 1 m{self.maybe_created}"
        left, words = self.residual, [f"{self.revision} {self.value_micros} {int(self.counted)}"]
        if left.micros:
            words.append(f"u{left.micros}{left.currency}")
        if left.conversions:
            words.append(f"x{left.conversions}")
        if self.currency:
            words.append(f"y{self.currency}")
        if self.told:
            words.append(f"v{self.told}")
        return " ".join(words)

    @classmethod
    def read(cls, text: bytes) -> Taken | None:
        """Returns what was kept; None where nothing was, or where it is not certain."""
        certain = _CERTAIN.fullmatch(text)
        if certain is None:
            return None
        revision, value, counted, micros, of, conversions, currency, told = certain.groups(b"")
        left = Residual(int(micros or 0), of.decode(), int(conversions or 0))
        what = (int(revision), int(value), counted == b"1")
        return cls(*what, currency=currency.decode(), residual=left, told=told.decode())


@dataclass(frozen=True, slots=True)
class Job:
    """A job that this process has for a while."""

    conversion_id: str
    revision: int
    """The newest one planned; what is sent may be newer still."""
    tried_revision: int
    """What the last attempt carried; 0: none was made."""
    attempts: int
    """How many were made at that: it left, or may have."""
    plan_micros: int
    """When what is tried was planned."""
    never_sent: bool
    """Whether it is known that the destination took nothing of this conversion."""
    taken: Taken | None
    """What the destination last took, as far as Redis remembers."""
    maybe_taken: int = 0
    """The revision of a creation that was tried and never confirmed; 0: none."""
    doubt_micros: int = 0
    """Since when it is not known whether what was tried was taken; 0: it is, or nobody knows since when."""
    newest_plan_micros: int = 0
    """When `revision` was planned."""
    try_micros: int = 0
    """When what is tried was tried first, later by how long it stood still while it was due; 0: not yet."""
    known_as: KnownAs | None = None
    """By what the destination knows the creation that was tried; None: none was, or by an earlier version."""
    risks_duplicates: bool = False
    """Whether somebody asked for it who risks that what may have been taken counts twice."""
    unsent: int = 0
    """How often what is tried could not leave, which is no attempt."""
    may_be_tried_before: bool = False
    """Whether the creation was tried under an earlier job, and certainly not taken."""
    attempts_untaken: tuple[int, int] | None = None
    """The revision that was tried then, and how often; None: not known."""


@dataclass(frozen=True, slots=True)
class Leased:
    """What there is to do."""

    jobs: Sequence[Job]
    wait_seconds: float
    """When to look again if there is nothing; 0: nothing waits."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What an attempt is about to carry."""

    conversion_id: str
    revision: int
    creates: bool
    """Whether it creates the conversion there."""
    attempts_before: int = 0
    """How many attempts at this revision were made under a job that is no more: the ledger has a row for each."""
    known_as: KnownAs | None = None
    """Of a creation: by what the destination will know it."""
    is_refused_before: bool = False
    """Whether the attempt before, of this lease and not settled, certainly was not taken: it leaves no doubt."""
    newest_revision: int = 0
    """The newest one that is known: where an older one is tried once more, it is to follow."""
    is_value_unknown: bool = False
    """Whether nobody knows which value of what it took the destination has: that stays so until it takes another."""


class Settlement(Enum):
    """What became of an attempt."""

    TAKEN = "taken"
    AGAIN = "again"
    GIVEN_UP = "given_up"
    DROPPED = "dropped"
    """There is nothing to send."""


class Noted(Enum):
    """What the attempt that was noted last turned out to be."""

    MADE = ""
    """What it was noted for: it left, or may have. Or none was noted since the job was leased."""
    UNMADE = "unmade"
    """None: nobody tried to send anything."""
    UNSENT = "unsent"
    """None: it could not leave. That is counted apart, for the next try to wait longer."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What becomes of a job."""

    conversion_id: str
    what: Settlement
    revision: int
    """What was settled: a newer one planned meanwhile stays to be done."""
    delay_seconds: float = 0.0
    """For AGAIN."""
    taken: Taken | None = None
    """For TAKEN; for GIVEN_UP what is known of what it has, where that is no longer what was known before."""
    is_untaken: bool = False
    """Of a creation, but for TAKEN: whether it is certain that no attempt at it was ever taken."""
    is_refused: bool = False
    """For AGAIN: whether it is certain that this attempt was not taken."""
    noted: Noted = Noted.MADE
    """Whether this attempt was one."""
    is_mending: bool = False
    """For AGAIN: whether settings are to blame, so that it is due at once when they are mended."""
