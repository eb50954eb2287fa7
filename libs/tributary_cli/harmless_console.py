"""A console on which nothing that is shown can command the terminal.

The one rule: what commands show is others' text as often as not (an order id, a campaign's name), and in it control
characters are signs, not commands. Styles and progress are this console's own and work.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

_CONTROL: Final = re.compile(r"[^\n\t -~\u00a0-\U0010ffff]|[\u202a-\u202e\u2066-\u2069]")
"""Control characters but line feed and tab; and those that turn the direction of what follows."""


class HarmlessConsole(Console):
    """Shows each control character as a replacement character."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Returns a text to be measured and shown. As `Console.render_str`."""
        return super().render_str(_CONTROL.sub("\ufffd", text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yields what to write. As `Console.render`."""
        for segment in super().render(renderable, options):
            if segment.control or _CONTROL.search(segment.text) is None:
                yield segment
            else:
                yield Segment(_CONTROL.sub("\ufffd", segment.text), segment.style)
