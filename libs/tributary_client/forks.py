"""What gRPC has to be told before it is imported, so that a process that has used it may fork.

The one rule: an application's own choice is left alone. Without this a forked child hangs in its first call, if its
parent has made one.
"""

from __future__ import annotations

import os
import sys

_NAME = "GRPC_ENABLE_FORK_SUPPORT"

IS_SUPPORTED = "grpc" not in sys.modules or os.environ.get(_NAME, "0").lower() in ("1", "true", "yes")
"""Whether gRPC knows, as far as one can say: it looks once, when it is imported."""

os.environ.setdefault(_NAME, "1")
