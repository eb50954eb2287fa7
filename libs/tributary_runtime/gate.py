"""Whether the process may work, for those who do its work.

The one rule: while a guard refuses, nothing is read from a store and nothing is acknowledged on one. `Readiness` opens
and closes the gate; the clients of the stores ask it before each command (`redis.client.connect(gate=...)`), so no loop
can forget to, and to a loop a closed gate is an outage: it pauses and goes on by itself.

What was read before the gate closed is finished when it opens again, and done once more if effects of it may have gone
to the store that was refused: `Worker` looks at `closings`.
"""

from tributary_runtime.errors import TributaryError, UnavailableError


class Gate:
    """One per process: made where its parts are, given to its clients, its workers and `serve`.

    Args:
        is_open: Whether it starts open: where there are no guards to wait for.
        opens_in_part: Whether a process that begins is of use while some nodes of a cluster do not answer.
    """

    def __init__(self, *, is_open: bool = False, opens_in_part: bool = False) -> None:
        self.opens_in_part = opens_in_part
        self.closings = 0
        """How often it was closed; who sees it change does not know what became of the effects in between."""
        self.why = ""
        """Why it is closed, for the log."""
        self.closed: TributaryError | None = None
        """Why it is closed, as callers are told; None while it is open."""
        if not is_open:
            self.close("Not all guards were checked yet.", refusal("start", "NOT_CHECKED"))

    def close(self, why: str, told: TributaryError) -> None:
        """Stops all work.

        Args:
            why: For the log.
            told: For callers.
        """
        self.closings += self.closed is None
        self.why, self.closed = why, told

    def open(self) -> None:
        """Lets work go on."""
        self.why, self.closed = "", None


def refusal(guard: str, cause: str) -> UnavailableError:
    """Returns what callers are told while the gate is closed: what it means for them, and a stable word for why.

    Args:
        guard: Which guard refuses.
        cause: The reason that it gave, such as NOT_DURABLE; what it found is for the log alone.
    """
    return UnavailableError(
        f"Not ready ({cause}): what is sent now might not be kept. Nothing was done; send the same again.",
        reason="NOT_READY",
        metadata={"guard": guard, "cause": cause},
        retry_delay_seconds=2,
    )
