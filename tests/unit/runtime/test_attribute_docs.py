from __future__ import annotations

from typing import NamedTuple

from tributary_runtime.attribute_docs import attribute_docs


class Base:
    kept: int = 1
    """From the base."""
    renewed: int = 1
    """Of the base."""


class Derived(Base):
    """A class of its own."""

    renewed: int = 2
    """Of the class.

    On two lines.
    """
    silent: int = 3

    def method(self) -> None:
        """Is no attribute."""


class Pair(NamedTuple):
    """Made from a class statement as well."""

    left: int
    """One side."""


def test_each_attribute_has_the_docstring_below_it_and_the_nearest_class_decides() -> None:
    assert attribute_docs(Derived) == {"kept": "From the base.", "renewed": "Of the class.\n\nOn two lines."}


def test_what_says_nothing_has_nothing() -> None:
    assert attribute_docs(int) == {}
    assert attribute_docs(Pair)["left"] == "One side."
