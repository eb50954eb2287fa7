"""What every test may ask for: real stores, a workspace of its own."""

from __future__ import annotations

import os
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.support", "tests.faults", "tests.property", "tests.load")  # they assert, too

# ruff: noqa: E402
from hypothesis import HealthCheck, settings

from tests.support.cluster import Cluster, running_cluster
from tests.support.memory import keep_in_memory
from tests.support.seeds import choose_seed, seeds_told
from tests.support.spreading import spread
from tests.support.stack import KeyedWorkspace, SharedStack, StackOnDemand, complaints, last_words
from tests.support.stores import Stores, create_test_epoch, run_apart, running_clickhouse, running_redis, running_stores
from tributary_cli.stack.clickhouse_server import ClickHouseServer
from tributary_cli.stack.redis_server import RedisServer
from tributary_storage.clickhouse import migrate as clickhouse_migrations

# Hundreds of processes are started: each would compile all of Tributary anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
keep_in_memory()
choose_seed()

# The default run draws the same examples everywhere; `--hypothesis-profile=night` looks for new ones.
settings.register_profile(
    "day", max_examples=200, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("night", max_examples=5000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("day")


ON_A_CLUSTER = frozenset({"redis_url", "module_redis_url"})
"""Fixtures that are of a cluster with `--redis-cluster`."""


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    """One Redis and one ClickHouse, shared by all tests of this process."""
    with running_stores(tmp_path_factory.mktemp("stores")) as running:
        yield running


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says which random worlds there were, where there were any."""
    reports = [one for found in terminalreporter.stats.values() for one in found if isinstance(one, pytest.TestReport)]
    if any("test_random_lives" in one.nodeid for one in reports):
        terminalreporter.write_line(seeds_told())


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds what `tests/integration/test_redis_cluster.py` runs other tests with."""
    help_text = "what asks for redis_url or module_redis_url gets a Redis Cluster"
    parser.addoption("--redis-cluster", action="store_true", help=help_text)
    parser.addoption("--clickhouse-url", default="", help="what asks for clickhouse_url gets this, migrated already")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Lets several processes end together; leaves out on a cluster what would not use it: it runs elsewhere, alike."""
    if config.getoption("--redis-cluster"):
        elsewhere = [one for one in items if ON_A_CLUSTER.isdisjoint(getattr(one, "fixturenames", ()))]
        config.hook.pytest_deselected(items=elsewhere)
        items[:] = [one for one in items if one not in elsewhere]
    processes = getattr(config, "workerinput", {}).get("workercount", 1)
    if processes > 1:
        items[:] = spread(items, processes)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds to a failure what running services complained of last, and how the logs of the test's own processes end."""
    report = yield
    if report.failed:
        report.sections += complaints()
        own = getattr(item, "funcargs", {}).get("tmp_path")
        report.sections += last_words(own) if own else []
    return report


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A Redis Cluster of three servers; has no numbered databases, so whoever uses it empties it."""
    with running_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def redis_url(request: pytest.FixtureRequest) -> str:
    """An empty Redis database that this test has for itself (`redis://…/n`); durable settings."""
    if request.config.getoption("--redis-cluster"):
        cluster: Cluster = request.getfixturevalue("redis_cluster")
        run_apart(cluster.flush())
        return cluster.url
    stores: Stores = request.getfixturevalue("stores")
    return stores.empty_redis_url()


@pytest.fixture(scope="session")
def services_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Another one, for services that run as long as a module: who asks for `redis_url` empties the first."""
    with running_cluster(tmp_path_factory.mktemp("services-cluster")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def module_redis_url(request: pytest.FixtureRequest) -> str:
    """As `redis_url`, of the tests of a module together: for the services that they share."""
    if request.config.getoption("--redis-cluster"):
        cluster: Cluster = request.getfixturevalue("services_cluster")
        run_apart(cluster.flush())
        return cluster.url
    stores: Stores = request.getfixturevalue("stores")
    return stores.empty_redis_url()


@pytest.fixture
def migrated_redis_url(redis_url: str) -> str:
    """As `redis_url`, with an epoch of 4 shards: what `tributary migrate` leaves behind."""
    run_apart(create_test_epoch(redis_url))
    return redis_url


@pytest.fixture(scope="session")
def migrated_stores(stores: Stores) -> Stores:
    """As `stores`, with all tables in ClickHouse."""
    run_apart(clickhouse_migrations.migrate(stores.clickhouse_url))
    return stores


@pytest.fixture(scope="module")
def clickhouse_url(request: pytest.FixtureRequest) -> str:
    """The shared ClickHouse database, migrated; what a test writes there carries its own workspace.

    What the modules before have left there goes when it is much: nobody asks for it any more, and all pay for it.
    """
    given: str = request.config.getoption("--clickhouse-url")
    if given:
        return given
    stores: Stores = request.getfixturevalue("migrated_stores")
    stores.tidy_up()
    return stores.clickhouse_url


@pytest.fixture
def workspace() -> str:
    """The id of a workspace that no other test uses."""
    return f"w-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def private_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of this test's own, to be killed, paused, filled or restarted."""
    with running_redis(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def private_clickhouse(tmp_path: Path) -> Iterator[ClickHouseServer]:
    """A ClickHouse of this test's own, to be killed, paused or restarted."""
    with running_clickhouse(tmp_path / "clickhouse") as server:
        yield server


@pytest.fixture(scope="session")
def shared_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackOnDemand]:
    """What starts the installation of `stack`."""
    on_demand = StackOnDemand(lambda: tmp_path_factory.mktemp("stack"))
    yield on_demand
    on_demand.close()


@pytest.fixture
def stack(shared_stack: StackOnDemand) -> SharedStack:
    """A whole installation, shared by all tests that follow one another; take a workspace, kill nothing."""
    return shared_stack.open()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Stops the installation of `stack` when the next test does not need it: it costs as long as it runs."""
    running = getattr(item, "funcargs", {}).get("shared_stack")
    if running is not None and nextitem is not None and "shared_stack" not in getattr(nextitem, "fixturenames", ()):
        running.close()


@pytest.fixture
def keyed_workspace(stack: SharedStack) -> KeyedWorkspace:
    """A workspace of the shared installation that no other test uses, and its API key."""
    return stack.take_workspace()
