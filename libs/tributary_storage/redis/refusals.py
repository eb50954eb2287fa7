"""What an error of Redis means: an outage, which passes, or a refusal, which is a bug of ours and never passes.

The one rule: only what waiting can mend is an outage. What Redis refuses because of what it was asked would be refused
for ever; taken for an outage, one event would stop everybody's. As a bug it costs that event alone: the worker finds
out which and puts it aside.
"""

from __future__ import annotations

import re
from typing import Final

import redis
from redis.exceptions import (
    AskError,
    ClusterDownError,
    DataError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)

from tributary_runtime.errors import StorageUnavailableError, TributaryError

_PASSING: Final = (
    *(AskError, ClusterDownError, MovedError, NoPermissionError, NoScriptError, OutOfMemoryError, ReadOnlyError),
    TryAgainError,
)
"""Redis is full, is moving, is a replica now, or an operator has to act."""

_PASSING_CODE: Final = re.compile(
    r"(?:^|-|: )(?:ASK|BUSY|CLUSTERDOWN|LOADING|MASTERDOWN|MISCONF|MOVED|NOAUTH|NOGROUP|NOPERM|NOREPLICAS|NOSCRIPT|OOM"
    r"|READONLY|REDIRECT|TRYAGAIN|UNBLOCKED|WRONGPASS)\b"
    r"|Script killed by user"
)
"""The same as Redis says it: at the start, or, before Redis 7, somewhere in what a script says."""


class CommandRefusedError(TributaryError):
    """Redis refuses a command or a script of ours: a bug, never an outage.

    The cause says what Redis said: it may repeat values, so it is for logs and not for callers.
    """

    default_reason = "COMMAND_REFUSED"


def is_outage(error: redis.RedisError) -> bool:
    """Tells whether the same may be answered later."""
    if isinstance(error, DataError):  # not even sent
        return False
    if isinstance(error, ResponseError) and not isinstance(error, _PASSING):
        return _PASSING_CODE.search(str(error)) is not None
    return True


def translate(error: redis.RedisError, store: str, silent: str) -> TributaryError:
    """Returns what is raised instead of an error of Redis.

    Args:
        error: What redis-py raised.
        store: The role: log, state or jobs.
        silent: What an outage means for the caller.
    """
    if is_outage(error):
        return StorageUnavailableError(silent, metadata={"store": store})
    return CommandRefusedError("Redis refused a command of Tributary's.", metadata={"store": store})
