"""Whether a workspace's pepper is still the one that its people are known by.

With another one everybody would be a stranger, and a retry another payload; nothing would look wrong. The one rule: a
workspace whose pepper changed takes nothing until it is brought back, and no other workspace feels it. Fails open while
the state store does not answer: that, and another pepper, hardly come together.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

import structlog

from tributary_ingestion.workspace_rules import WorkspaceRules
from tributary_runtime.clock import Clock
from tributary_runtime.errors import PreconditionError, StorageUnavailableError

log = structlog.get_logger(__name__)

_TIMEOUT_SECONDS: Final = 1.0
_REST_SECONDS: Final = 5.0
"""How long a store that did not answer is not asked again."""


class Remembered(Protocol):
    """The check values, as `redis.peppers.Peppers`."""

    async def first(self, workspace: str, check: str) -> str:
        """Remembers a check value, unless there is one; returns the one that holds.

        Raises:
            StorageUnavailableError: It did not answer.
        """
        ...


class PepperCheck:
    """Asks once per workspace and pepper.

    Args:
        remembered: The check values.
        clock: Ages a failure.
    """

    def __init__(self, remembered: Remembered, clock: Clock) -> None:
        self._remembered = remembered
        self._clock = clock
        self._passed: dict[str, str] = {}
        self._rest_until = 0.0

    async def require(self, rules: WorkspaceRules) -> None:
        """Returns if a workspace's pepper is the one it began with, or nobody can tell now.

        Raises:
            PreconditionError: It is another one.
        """
        workspace, check = rules.workspace_id, rules.pepper_check
        if self._passed.get(workspace) == check or self._clock.monotonic_seconds() < self._rest_until:
            return
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                first = await self._remembered.first(workspace, check)
        except (StorageUnavailableError, TimeoutError):
            self._rest_until = self._clock.monotonic_seconds() + _REST_SECONDS
            log.warning("pepper_unchecked", workspace=workspace)
            return
        if first != check:
            log.error("pepper_changed", workspace=workspace)
            message = (
                f"The pepper of workspace {workspace} is not the one it began with: all its people would be strangers. "
                "Bring that one back; send the same events again, with the same ids, once it is. Only if the workspace "
                f"holds nothing yet: HDEL trb:peppers {workspace} in the Redis of role state."
            )
            raise PreconditionError(message, subject="pepper", reason="PEPPER_CHANGED")
        self._passed[workspace] = check
