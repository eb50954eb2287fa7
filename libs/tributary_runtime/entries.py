"""Entries of a log, as a worker sees them: where they come from, and what is done with them.

The one rule: whatever is asked of either side may be asked again, with the same entries.
"""

from collections.abc import Sequence
from typing import Protocol, TypeVar


class Entry(Protocol):
    """What a worker must know of an entry of a log."""

    @property
    def deliveries(self) -> int:
        """How often it was handed to a worker, this time included."""
        ...

    @property
    def accept_micros(self) -> int:
        """When it was appended, in microseconds since 1970."""
        ...

    @property
    def is_put_back(self) -> bool:
        """Whether it was a dead letter, of any group of its log."""
        ...


EntryT = TypeVar("EntryT", bound=Entry)
SingleT = TypeVar("SingleT")
LetterT = TypeVar("LetterT", contravariant=True)
HandledT = TypeVar("HandledT", bound=Entry, contravariant=True)


class Source(Protocol[EntryT, LetterT]):
    """One consumer of one group of a log. Every method may raise one of `OUTAGES` and is then called again."""

    async def read(self) -> Sequence[EntryT]:
        """Returns the next entries, oldest first; waits up to about a second for some, then returns none."""
        ...

    async def take_over(self) -> Sequence[EntryT]:
        """Returns entries that were read long ago and never acknowledged, by this worker's past life or by others."""
        ...

    async def ack(self, entries: Sequence[EntryT]) -> None:
        """Marks entries as done. May run twice."""
        ...

    async def postpone(self, entries: Sequence[EntryT]) -> None:
        """Leaves entries unacknowledged; `take_over` returns them in some seconds, as often delivered as now."""
        ...

    async def hand_back(self) -> None:
        """Leaves all that was read and not acknowledged to whoever looks first: this worker leaves. May run twice."""
        ...

    async def dead_letter(self, entry: EntryT, single: LetterT | None, reason: str, message: str) -> None:
        """Keeps an event that can never be handled; `single` is None if the entry cannot even be taken apart.

        May run twice. The entry is acknowledged afterwards.
        """
        ...


class Handler(Protocol[HandledT, SingleT]):
    """What is done with entries. Every method may run twice with the same ones."""

    async def handle(self, entries: Sequence[HandledT]) -> int:
        """Does the work of a batch, all its effects durable on return; returns how many events it held.

        Adds to the line `batch_handled` with `bind_contextvars`.

        Raises:
            Backpressure: Not now.
            Unfinished: All is done but some of it.
            UnavailableError: Something needed does not answer; as any of `OUTAGES`.
        """
        ...

    def singles(self, entry: HandledT) -> Sequence[SingleT]:
        """Takes an entry apart into its events, in order."""
        ...

    async def handle_single(self, entry: HandledT, single: SingleT) -> None:
        """Does the work of one event, as `handle` would.

        Raises:
            PoisonEvent: It can never be handled. So does any exception but those of `handle`.
        """
        ...
