"""Steps on one loop: side by side, and by turns with what callers wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def let_others_run() -> None:
    """Gives callers on the same loop their turn."""
    await asyncio.sleep(0)


async def together(*steps: Coroutine[Any, Any, Any]) -> list[Any]:
    """Runs steps side by side; when all have ended, returns their answers, or raises what the first to fail raised."""
    answers = await asyncio.gather(*steps, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return answers
