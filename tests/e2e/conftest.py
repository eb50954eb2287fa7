"""One installation for all user stories in which nothing is killed: each story has a workspace with a webhook."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.support.inbox import Inbox, running_inbox
from tests.support.shop import Shop, open_shop
from tests.support.stack import KeyedWorkspace, running_stack
from tributary_cli.stack.stack import Stack

STOCK = 120
"""How many stories there may be."""


@pytest.fixture(scope="session")
def inbox() -> Iterator[Inbox]:
    """Where every story's webhook goes."""
    with running_inbox() as running:
        yield running


@pytest.fixture(scope="session")
def street(tmp_path_factory: pytest.TempPathFactory, inbox: Inbox) -> Iterator[tuple[Stack, Iterator[KeyedWorkspace]]]:
    """The installation and the workspaces in stock. Nobody kills parts of it."""
    own = {"destinations": [inbox.destination("purchase", "signup")], "own_domains": ["shop.example"]}
    settings = {f"shop-{number}": own for number in range(STOCK)}
    with running_stack(tmp_path_factory.mktemp("street"), settings) as (stack, keyed):
        yield stack, iter(keyed.values())


@pytest.fixture(scope="session")
def take_shop(street: tuple[Stack, Iterator[KeyedWorkspace]], inbox: Inbox) -> Iterator[Callable[[], Shop]]:
    """Returns, each time, a workspace that nobody else uses."""
    stack, stock = street
    with ExitStack() as closing:
        yield lambda: closing.enter_context(open_shop(stack.addresses, next(stock), inbox))


@pytest.fixture
def shop(take_shop: Callable[[], Shop]) -> Shop:
    """A workspace that no other test uses."""
    return take_shop()


@pytest.fixture
def other_shop(take_shop: Callable[[], Shop]) -> Shop:
    """A second workspace of the same installation."""
    return take_shop()
