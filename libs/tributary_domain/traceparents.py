"""The W3C text that says which trace something belongs to.

The one rule: what is no traceparent travels no further. It often comes from a stranger's request, and one that cannot
be written as a header would fail every call that it goes on with.
"""

from __future__ import annotations

import re
from typing import Final

_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)


def is_traceparent(text: str) -> bool:
    r"""Tells whether a text has the form of a traceparent (Trace Context, section 3.2).

    >>> is_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    True
    >>> is_traceparent("00-\n" + "4" * 31 + "-b7ad6b7169203331-01")
    False
    """
    return _TRACEPARENT.fullmatch(text) is not None
