"""What commands show cannot command the terminal."""

from __future__ import annotations

import pytest
from rich.table import Table
from rich.text import Text

from tributary_cli.console import messages, output
from tributary_cli.explain import paper

HOSTILE = "\x1b]0;title\x1b[2J\x9b2J\u202eid"
SHOWN = "\ufffd]0;title\ufffd[2J\ufffd2J"


@pytest.mark.parametrize("make", [output, messages, paper])
def test_control_characters_in_what_is_shown_are_signs(make: object, capsys: pytest.CaptureFixture[str]) -> None:
    console = make()  # type: ignore[operator]
    table = Table("order")
    table.add_row(HOSTILE)
    table.add_row(Text(HOSTILE))
    console.print(f"{HOSTILE}  ACCEPTED", markup=False)
    console.print(table)
    shown = "".join(capsys.readouterr())
    assert shown.count(SHOWN) == 3
    assert not set(shown) & set("\x1b\x9b\u202e")


def test_styles_and_lines_stay(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    output().print("one\ntwo", style="red")
    assert capsys.readouterr().out.count("\x1b[31m") == 2
