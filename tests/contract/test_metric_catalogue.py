"""The catalogue of metrics: names that last, units, and closed attributes."""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path

import pytest

from tributary_runtime import metrics
from tributary_runtime.instruments import DeclaredSet, Instrument, catalogue

ROOT = Path(__file__).parents[2]
INSTRUMENTS = {name: one for name, one in vars(metrics).items() if isinstance(one, Instrument)}
each = pytest.mark.parametrize("instrument", INSTRUMENTS.values(), ids=lambda one: one.name)


def test_every_instrument_stands_in_the_catalogue_once() -> None:
    assert [one.name for one in catalogue()] == [one.name for one in INSTRUMENTS.values()]
    assert len({one.name for one in catalogue()}) == len(INSTRUMENTS)


@each
def test_a_name_is_tributary_area_noun(instrument: Instrument) -> None:
    assert re.fullmatch(r"tributary\.[a-z]+\.[a-z_]+", instrument.name)


@each
def test_a_unit_is_seconds_or_what_is_counted(instrument: Instrument) -> None:
    assert re.fullmatch(r"s|1|\{[a-z]+\}", instrument.unit)


@each
def test_a_description_is_one_sentence(instrument: Instrument) -> None:
    assert re.fullmatch(r"[A-Z0-9][^.]*(\.[a-z][^.]*)*\.", instrument.description)


@each
def test_attributes_are_closed(instrument: Instrument) -> None:
    for values in instrument.attributes.values():
        assert isinstance(values, DeclaredSet) or issubclass(values, Enum)


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_every_instrument_is_used(name: str) -> None:
    code = (path for folder in ("libs", "services") for path in (ROOT / folder).rglob("*.py"))
    assert any(f"metrics.{name}." in path.read_text(encoding="utf-8") for path in code)


def test_no_instrument_is_made_outside_of_the_catalogue() -> None:
    makers = re.compile(r"create_(counter|histogram|gauge|up_down_counter)|= (counter|histogram|gauge)\(")
    homes = {"metrics.py", "instruments.py"}
    found = [
        str(path.relative_to(ROOT))
        for folder in ("libs", "services")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if path.name not in homes and makers.search(path.read_text(encoding="utf-8"))
    ]
    assert found == []
