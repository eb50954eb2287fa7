"""When to try again: full-jitter exponential backoff, and never before the server's RetryInfo."""

from __future__ import annotations

from dataclasses import dataclass

from tributary_domain.backoff import Backoff, Chance


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long and how often is tried again."""

    total_seconds: float = 60.0
    """Of `ingest`, from the first attempt to the last. What is tracked in the background is tried until it is decided
    or the client is closed."""
    first_delay_seconds: float = 0.1
    """Upper bound of the first pause; each later bound is twice the one before."""
    max_delay_seconds: float = 5.0
    """Upper bound of every pause, unless the server asks for more."""
    attempt_seconds: float = 10.0
    """Deadline of one attempt. With more than 10 s the server may take slowness for a wrong clock, and correct it."""

    def __post_init__(self) -> None:
        """Refuses spans that are not positive."""
        for name in ("total_seconds", "first_delay_seconds", "max_delay_seconds", "attempt_seconds"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive")

    def delay_seconds(self, attempt: int, retry_after_seconds: float, chance: Chance) -> float:
        """Returns the pause after attempt number `attempt` (from 1): what the server asked for, and jitter above it."""
        backoff = Backoff(self.first_delay_seconds, self.max_delay_seconds)
        return retry_after_seconds + backoff.delay_seconds(attempt, chance)
