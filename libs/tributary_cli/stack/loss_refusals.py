"""Finds in a service's log that it refuses a Redis for what it lost.

Over gRPC a service only says that it does not serve, which it also does while it waits for a store; why, it says in its
log. What is looked for is the step that only such a refusal names: no wait takes it away.
"""

from __future__ import annotations

import json
import re

_EVENT = "became_not_ready"
_STEP = re.compile(r"--confirm-loss (log|state|jobs)")


def refused_role(log: str) -> str | None:
    """Returns the role of the first Redis that was refused for a loss; None if none was.

    Args:
        log: JSON lines; what is no JSON, as a traceback or half a line, is passed over.
    """
    for line in log.splitlines():
        if _EVENT not in line:
            continue
        try:
            told = json.loads(line)
        except ValueError:
            continue
        if told.get("event") == _EVENT and (found := _STEP.search(str(told.get("reason")))):
            return found[1]
    return None
