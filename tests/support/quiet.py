"""A show that shows nothing, for demo runs inside tests."""

from __future__ import annotations

from tributary_cli.demo.fakes.webhook import FakeWebhook
from tributary_cli.demo.traffic import Tally


class Quiet:
    """Implements `tributary_cli.demo.run.Show`."""

    def announce(self, text: str) -> None:
        """Says nothing."""

    def progress(self, done: int, total: int, tally: Tally, received: FakeWebhook) -> None:
        """Says nothing."""
