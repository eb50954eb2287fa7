"""The streams that a server holds open, and whose they are.

The one rule: a workspace may hold as many as are left over, one alone half of them, two a third each. An open stream
costs a place though it says nothing, so whoever took all places would shut everybody else out without sending an event.
"""

from collections import Counter

from tributary_runtime import metrics
from tributary_runtime.errors import OverloadedError


class OpenStreams:
    """Counts streams.

    Args:
        most: Of all workspaces.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: Counter[str] = Counter()

    def check(self, workspace: str) -> None:
        """Refuses a stream for which there is no place.

        Args:
            workspace: Whose it is; empty where no API key was asked for: the services trust each other.

        Raises:
            OverloadedError: All places are taken, or all that this workspace may have.
        """
        free = self._most - self._open.total()
        if free <= 0:
            raise OverloadedError("Too many streams at once; open it again.", reason="TOO_MANY_STREAMS")
        if workspace and self._open[workspace] >= free:
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
