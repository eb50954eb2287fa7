"""A test either runs, by `pytest` alone, or is none: what takes long is run by hand from `tests.load`."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = re.compile(r"(mark\.|pytest\.)(skip|skipif|xfail|importorskip)\b")


def test_no_option_deselects_a_test() -> None:
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    assert not {"-m", "-k", "--deselect", "--ignore"} & set(options["addopts"].split())
    assert "markers" not in options


def test_no_test_is_skipped_or_expected_to_fail() -> None:
    sources = [path for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__).resolve()]
    assert [path.name for path in sources if LEFT_OUT.search(path.read_text())] == []
