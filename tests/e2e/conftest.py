"""One installation for all user stories in which nothing is killed: each story has a workspace with a webhook.

Its scope is this package: an installation costs processor time for as long as it runs, even if nobody calls it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date

import pytest

from tests.support.batches import declared_batches, running_fake
from tests.support.collector import Collector, running_collector
from tests.support.inbox import Inbox, running_inbox
from tests.support.shop import Shop, open_shop
from tests.support.stack import KeyedWorkspace, SharedStack, running_stack
from tributary_cli.demo.fakes.server import FakeServer
from tributary_cli.stack.stack import Stack
from tributary_runtime.authentication import new_key
from tributary_runtime.workspaces import Scope

STOCK = 90
"""How many stories there may be."""
PLAIN = 20
"""How many stories there may be of workspaces without any setting."""


@dataclass(frozen=True)
class Street:
    """The installation, and what is in stock. Nobody kills parts of it."""

    stack: Stack
    stock: Iterator[KeyedWorkspace]
    plain: Iterator[KeyedWorkspace]
    keys: Mapping[str, str]
    """Keys of one more workspace: one per scope, named after it, and one that has expired."""
    advertised: KeyedWorkspace
    """One that sends its conversions to `ads`."""
    ads: Mapping[str, FakeServer]
    """Google, and Meta with the number 4 among those whom a consent string can name."""


PERSONAL_DATA_KEY = base64.b64encode(bytes(range(32))).decode()
"""Of the workspace "personal", and of every shop."""


@pytest.fixture(scope="package")
def inbox() -> Iterator[Inbox]:
    """Where every story's webhook goes."""
    with running_inbox() as running:
        yield running


@pytest.fixture(scope="package")
def street(tmp_path_factory: pytest.TempPathFactory, inbox: Inbox) -> Iterator[Street]:
    """Where all shops are."""
    own = {"destinations": [inbox.destination("purchase", "signup")], "own_domains": ["shop.example"]}
    own["data_key"] = {"value": PERSONAL_DATA_KEY}
    made = {scope.value: new_key() for scope in Scope}
    locked = [{"id": key.id, "sha256": key.sha256, "scopes": [scope]} for scope, key in made.items()]
    made["expired"] = old = new_key()
    locked.append({"id": old.id, "sha256": old.sha256, "expires_on": date(2020, 1, 1), "scopes": list(made)[:-1]})
    shops, plain = ([f"{kind}-{number}" for number in range(count)] for kind, count in (("shop", STOCK), ("w", PLAIN)))
    settings = {**dict.fromkeys(shops, own), **{name: {} for name in plain}, "locked": {"api_keys": locked}}
    keys = {name: key.key.get_secret_value() for name, key in made.items()}
    with running_fake("google") as google, running_fake("meta") as meta:
        ads = [declared_batches("google", google.url), declared_batches("meta", meta.url, tcf_vendor=4)]
        settings["advertised"] = {**own, "destinations": ads}
        with running_stack(tmp_path_factory.mktemp("street"), settings) as (stack, keyed):
            stock = iter([keyed[name] for name in shops]), iter([keyed[name] for name in plain])
            yield Street(stack, *stock, keys, keyed["advertised"], {"google": google, "meta": meta})


@pytest.fixture(scope="package")
def stack(street: Street) -> SharedStack:
    """As the fixture of all tests, on the installation of this package."""
    return SharedStack(street.stack, street.plain)


@pytest.fixture
def street_stack(street: Street) -> Stack:
    """The processes of the installation."""
    return street.stack


@pytest.fixture
def keys(street: Street) -> Mapping[str, str]:
    """As `Street.keys`."""
    return street.keys


@pytest.fixture(scope="package")
def take_shop(street: Street, inbox: Inbox) -> Iterator[Callable[[], Shop]]:
    """Returns, each time, a workspace that nobody else uses."""
    with ExitStack() as closing:
        yield lambda: closing.enter_context(open_shop(street.stack.addresses, next(street.stock), inbox))


@pytest.fixture
def shop(take_shop: Callable[[], Shop]) -> Shop:
    """A workspace that no other test uses."""
    return take_shop()


@pytest.fixture
def other_shop(take_shop: Callable[[], Shop]) -> Shop:
    """A second workspace of the same installation."""
    return take_shop()


@dataclass(frozen=True)
class Observed:
    """An installation whose signals are collected. Nobody kills parts of it."""

    stack: Stack
    collector: Collector
    workspaces: Mapping[str, KeyedWorkspace]
    inbox: Inbox
    replies: list[bytes] = field(default_factory=list)
    """To what `test_personal_data` sent: it is sent once, however often that module is begun."""


@pytest.fixture(scope="package")
def observed(tmp_path_factory: pytest.TempPathFactory, inbox: Inbox) -> Iterator[Observed]:
    """An installation that the standard `OTEL_*` variables make send its traces and metrics."""
    own = {"destinations": [inbox.destination("purchase")], "own_domains": ["shop.example"], "default_region": "DE"}
    settings = {"traced": own, "personal": {**own, "data_key": {"value": PERSONAL_DATA_KEY}}}
    with (
        running_collector() as collector,
        running_stack(tmp_path_factory.mktemp("observed"), settings, collector.environment) as (stack, keyed),
    ):
        yield Observed(stack, collector, keyed, inbox)
