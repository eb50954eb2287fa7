"""The streams that a server holds open, and whose they are.

The one rule: one workspace holds part of them at most. An open stream costs a place though it says nothing, so whoever
took all places would shut everybody else out without sending an event.
"""

from collections import Counter
from typing import Final

from tributary_runtime import metrics
from tributary_runtime.errors import OverloadedError

WORKSPACE_SHARE: Final = 0.5
"""Part of all streams that one workspace may hold."""


class OpenStreams:
    """Counts streams.

    Args:
        most: Of all workspaces.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._most_of_one = max(1, int(most * WORKSPACE_SHARE))
        self._open: Counter[str] = Counter()

    def check(self, workspace: str) -> None:
        """Refuses a stream for which there is no place.

        Args:
            workspace: Whose it is; empty where no API key was asked for: the services trust each other.

        Raises:
            OverloadedError: All places are taken, or all that this workspace may have.
        """
        if self._open.total() >= self._most:
            raise OverloadedError("Too many streams at once; open it again.", reason="TOO_MANY_STREAMS")
        if workspace and self._open[workspace] >= self._most_of_one:
            raise OverloadedError(
                "Too many streams of this workspace at once; open it again, or send more by each.",
                quota_subject=f"workspace:{workspace}",
                reason="TOO_MANY_STREAMS",
            )

    def open(self, workspace: str) -> None:
        """Counts a stream that begins."""
        self._open[workspace] += 1
        metrics.RPC_STREAMS.set(self._open.total())

    def close(self, workspace: str) -> None:
        """Counts a stream that has ended."""
        self._open[workspace] -= 1
        if not self._open[workspace]:
            del self._open[workspace]
        metrics.RPC_STREAMS.set(self._open.total())
