"""Room at the door: how many bytes of requests are in memory at once, of all workspaces together.

The one rule: however many call, there is an end to it, and somebody new still finds room. A workspace may hold as much
as is left over: one alone half of the room, two a third each, so that a part as large as theirs stays free.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tributary_runtime.errors import OverloadedError

_RETRY_DELAY_SECONDS = 1.0


class Room:
    """Counts the bytes of requests from the moment they are here until they are answered.

    Args:
        most_bytes: Of all requests at once, as they come; while they are worked on they take several times as much.
    """

    def __init__(self, most_bytes: int) -> None:
        self._free = most_bytes
        self._held: dict[str, int] = {}

    @contextmanager
    def hold(self, workspace: str, size: int) -> Iterator[None]:
        """Makes room for a request, or a batch of a stream, while it is worked on.

        Args:
            workspace: Whose it is.
            size: In bytes.

        Raises:
            OverloadedError: There is none, or the workspace holds its part of it.
        """
        own = self._held.get(workspace, 0)
        if size > self._free or (own and own + size > self._free):
            raise OverloadedError(
                "Too many bytes at once; send the same again, or less at a time.",
                quota_subject=f"workspace:{workspace}",
                retry_delay_seconds=_RETRY_DELAY_SECONDS,
                reason="TOO_MANY_BYTES",
            )
        self._held[workspace] = own + size
        self._free -= size
        try:
            yield
        finally:
            self._free += size
            left = self._held[workspace] - size
            if left:
                self._held[workspace] = left
            else:
                del self._held[workspace]
