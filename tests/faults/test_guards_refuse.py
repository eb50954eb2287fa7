"""While a guard refuses a store nothing is acknowledged on the strength of it; afterwards all goes on by itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
import redis

from tests.support.eventually import eventually
from tests.support.inbox import running_inbox
from tests.support.shop import EURO, MAIL, Shop, a_visit, an_order, credit, open_shop
from tests.support.stack import running_roles, running_stack
from tributary_cli.stack.health import Health, check_health
from tributary_cli.stack.redis_server import RedisServer
from tributary_cli.stack.stack import Stack

pytestmark = pytest.mark.timeout(120)


@dataclass(frozen=True)
class Installation:
    """Three Redis, one per role."""

    stack: Stack
    shop: Shop
    servers: dict[str, RedisServer]

    @property
    def log(self) -> redis.Redis:
        return redis.Redis(port=self.stack.installation.ports["redis"])

    def health(self, service: str) -> Health:
        return check_health(self.stack.addresses[service], service)

    def wait_for(self, health: Health, service: str) -> None:
        eventually(lambda: self.health(service) is health, 20)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    directory = tmp_path_factory.mktemp("guards")
    with running_inbox() as inbox, running_roles(directory) as (servers, environment):
        settings = {"shop": {"destinations": [inbox.destination("purchase")]}}
        with (
            running_stack(directory / "stack", settings, environment) as (stack, keyed),
            open_shop(stack.addresses, keyed["shop"], inbox) as shop,
        ):
            yield Installation(stack, shop, servers)


def acknowledged(client: redis.Redis, pattern: str, group: str) -> int:
    """Returns how many entries a group has finished; one that it only read is not."""
    done = 0
    for stream in client.scan_iter(pattern):
        for found in client.xinfo_groups(stream):
            if found["name"] == group.encode():
                done += len(client.xrange(stream, "-", found["last-delivered-id"])) - found["pending"]
    return done


def test_what_arrives_while_the_state_store_may_forget_is_credited_once_it_keeps(own: Installation) -> None:
    people = [{"visitor_id": f"forgetful-{number}"} for number in range(5)]
    own.shop.accept(*(a_visit(timedelta(hours=3), **who) for who in people))
    own.shop.wait_until_settled()
    state = redis.Redis(port=own.servers["state"].port)
    state.config_set("appendonly", "no")
    own.wait_for(Health.NOT_SERVING, "attribution")
    before = acknowledged(own.log, "trb:{l*}:log:*", "attribute")
    late = [a_visit(timedelta(hours=9), MAIL, event_id=f"late-{who['visitor_id']}", **who) for who in people]
    own.shop.accept(*late)
    recorded = acknowledged(own.log, "trb:{l*}:log:*", "record")
    eventually(lambda: acknowledged(own.log, "trb:{l*}:log:*", "record") != recorded)
    assert acknowledged(own.log, "trb:{l*}:log:*", "attribute") == before
    own.servers["state"].kill()  # whatever it was told since is lost
    own.servers["state"].start()
    own.servers["state"].wait_until_ready()
    own.wait_for(Health.SERVING, "attribution")
    own.shop.accept(*(an_order(who["visitor_id"], 10 * EURO, **who) for who in people))
    own.shop.wait_until_settled()
    for visit, who in zip(late, people, strict=True):
        found = own.shop.order(who["visitor_id"])
        assert list(credit(found.newest.state, "first_touch")) == [visit.event_id]


def test_another_store_of_jobs_gets_none_and_nothing_is_taken_off_the_log_for_it(
    own: Installation, tmp_path: Path
) -> None:
    own.servers["jobs"].stop()
    other = RedisServer(tmp_path, own.servers["jobs"].port)
    other.start()
    try:
        own.wait_for(Health.NOT_SERVING, "delivery")
        log = redis.Redis(port=own.servers["state"].port)
        before = acknowledged(log, "trb:{c*}:conversions", "deliver")
        own.shop.accept(an_order("elsewhere", 10 * EURO))
        found = own.shop.wait(lambda: own.shop.order("elsewhere"))
        assert acknowledged(log, "trb:{c*}:conversions", "deliver") == before
        assert redis.Redis(port=other.port).dbsize() == 0
    finally:
        other.stop()
        own.servers["jobs"].start()
    own.shop.wait_for_webhooks(found.newest.state.conversion_id, found.newest.revision)
