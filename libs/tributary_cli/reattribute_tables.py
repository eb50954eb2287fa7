"""What other settings change, added up over pages: as a table and as a document. Numbers stay exact."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from tributary_cli.explain_tables import show_micros

if TYPE_CHECKING:
    from rich.console import Console

    from tributary.attribution.v1.reattribution_pb2 import ReattributionPage

_Row = tuple[str, str, str, str]
"""Model, conversion name, currency, channel."""


class Totals:
    """Credit before and after."""

    def __init__(self) -> None:
        """Has seen nothing yet."""
        self.conversions = 0
        self.changed = 0
        self.incomplete = 0
        self._sums: dict[_Row, list[int]] = {}

    def add(self, page: ReattributionPage) -> None:
        """Adds a page."""
        self.conversions += page.conversions
        self.changed += page.changed
        self.incomplete += page.incomplete
        for one in page.changes:
            row = one.model, one.conversion_name, one.currency_code, one.channel
            sums = self._sums.setdefault(row, [0, 0, 0, 0])
            sums[0] += one.before_credit_micros
            sums[1] += one.after_credit_micros
            sums[2] += one.before_value_micros
            sums[3] += one.after_value_micros

    def document(self) -> dict[str, Any]:
        """Returns all of it for programs."""
        rows = [
            {
                "model": model,
                "conversion_name": name,
                "currency_code": currency,
                "channel": channel,
                "conversions": {"before": _count(sums[0]), "after": _count(sums[1])},
                "value": {"before": show_micros(sums[2]), "after": show_micros(sums[3])},
            }
            for (model, name, currency, channel), sums in sorted(self._sums.items())
        ]
        counts = {"conversions": self.conversions, "changed": self.changed, "incomplete": self.incomplete}
        return {**counts, "rows": rows}

    def print_to(self, console: Console, models: Sequence[str], done: str) -> None:
        """Prints a table per model.

        Args:
            console: Where.
            models: Which; empty: those under which some channel changes.
            done: What happened: "changed", "would change".

        Raises:
            click.BadParameter: There is no such model.
        """
        known = list(dict.fromkeys(row[0] for row in self._sums))
        for model in models:
            if known and model not in known:
                raise click.BadParameter(f"{model!r} is no model; models are {', '.join(known)}.", param_hint="--model")
        changing = {row[0] for row, sums in self._sums.items() if (sums[0], sums[2]) != (sums[1], sums[3])}
        for model in models or [model for model in known if model in changing]:
            console.print(model, style="bold", markup=False)
            console.print(self._table(model))
            console.print()
        console.print(f"{self.changed} of {self.conversions} conversions {done}.")
        if self.incomplete:
            message = f"{self.incomplete} may lack touches that are forgotten by now; those keep their credit."
            console.print(message, style="yellow")

    def _table(self, model: str) -> Any:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
        table.add_column("channel", style="bold", max_width=18, overflow="fold")
        table.add_column("conversion", max_width=14, overflow="fold")
        for title in ("before", "after", "value before", "value after", "change"):
            table.add_column(title, justify="right")
        for (of_model, name, currency, channel), sums in sorted(self._sums.items()):
            if of_model == model:
                change = sums[3] - sums[2]
                values = [_money(sums[2]), _money(sums[3]), f"{'+' if change > 0 else ''}{_money(change)} {currency}"]
                cells = [channel, name, _count(sums[0], 2), _count(sums[1], 2), *values]
                table.add_row(*(Text(cell) for cell in cells), style="" if sums[::2] != sums[1::2] else "dim")
        return table


def _count(micros: int, decimals: int = 6) -> str:
    """Returns millionths as a number.

    >>> _count(1_500_000), _count(1_500_000, 2)
    ('1.500000', '1.50')
    """
    return f"{Decimal(micros).scaleb(-6):.{decimals}f}"


def _money(micros: int) -> str:
    """Returns an amount rounded to two decimals.

    >>> _money(-1_234_567_890)
    '-1,234.57'
    """
    return f"{Decimal(micros).scaleb(-6):,.2f}"
