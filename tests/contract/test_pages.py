"""The pages for people lead where they say, to each other, and leave out nothing that there is."""

from __future__ import annotations

import re
from functools import cache
from itertools import count
from pathlib import Path
from typing import get_args

import click
import pytest

from tests.support.distribution import ROOT
from tributary_cli.command_line import cli
from tributary_runtime.destination_types import Destination

FIRST = ROOT / "README.md"
FOLDERS = ("helm", "libs", "protos", "services", "tests")
PAGES = [FIRST, *sorted(page for folder in FOLDERS for page in (ROOT / folder).rglob("README.md"))]

FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^()\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)


def words(page: Path) -> str:
    """Returns a page without its code."""
    return FENCED.sub("", page.read_text())


@cache
def headings(page: Path) -> frozenset[str]:
    """Returns what a link may name behind the `#`, as GitHub makes it of the headings."""
    found: set[str] = set()
    for heading in HEADING.findall(words(page)):
        plain = re.sub(r"[^\w\- ]", "", LINK.sub("", heading).lower()).replace(" ", "-")
        found.add(next(name for n in count() if (name := f"{plain}-{n}" if n else plain) not in found))
    return frozenset(found)


def links(page: Path) -> list[tuple[Path, str]]:
    """Returns the file and the heading of each link of a page that leads to another file of ours, or to itself."""
    found = [link.partition("#") for link in LINK.findall(words(page)) if "://" not in link]
    return [((page.parent / path).resolve() if path else page, heading) for path, _, heading in found]


@pytest.mark.parametrize("page", [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES])
def test_every_link_leads_to_a_file_and_a_heading_that_there_is(page: Path) -> None:
    lost = []
    for file, heading in links(page):
        if not file.exists() or (heading and heading not in headings(file)):
            lost.append(f"{file}#{heading}")
    assert lost == []


def test_a_reader_finds_every_page_from_the_first() -> None:
    reached, ahead = {FIRST}, [FIRST]
    while ahead:
        more = {file for file, _ in links(ahead.pop()) if file in PAGES} - reached
        reached |= more
        ahead.extend(more)
    assert {page for page in PAGES if "tests" not in page.relative_to(ROOT).parts} - reached == set()


def test_every_command_is_on_the_first_page_and_has_a_heading_on_its_own() -> None:
    commands = set(cli.list_commands(click.Context(cli)))
    assert commands
    assert {command for command in commands if f"| `tributary {command}" not in FIRST.read_text()} == set()
    assert commands - headings(ROOT / "libs" / "tributary_cli" / "README.md") == set()


def test_every_type_of_destination_is_on_the_first_page_and_on_that_of_destinations() -> None:
    settings = get_args(get_args(Destination)[0])
    types = {get_args(setting.model_fields["type"].annotation)[0] for setting in settings}
    assert len(types) == len(settings)
    for page in (FIRST, ROOT / "services" / "tributary_delivery" / "README.md"):
        rows = "\n".join(re.findall(r"^\| (`[^|]+) \|", page.read_text(), re.MULTILINE))
        assert {name for name in types if f"`{name}`" not in rows} == set()
