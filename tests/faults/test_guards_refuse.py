"""While a guard refuses a store nothing is acknowledged on the strength of it; afterwards all goes on by itself."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner
from google.protobuf.json_format import MessageToDict

from tests.support.eventually import eventually
from tests.support.inbox import running_inbox
from tests.support.shop import (
    EURO,
    MAIL,
    PAID,
    Shop,
    a_login,
    a_visit,
    an_adjustment,
    an_order,
    credit,
    named,
    open_shop,
)
from tests.support.stack import running_roles, running_stack
from tributary.event.v1.context_pb2 import OBSERVER_BROWSER
from tributary.query.v1.query_service_pb2 import ExplainConversionRequest, ListModelsRequest
from tributary_cli.command_line import cli
from tributary_cli.errors import LossError
from tributary_cli.stack.health import Health, check_health
from tributary_cli.stack.redis_server import RedisServer
from tributary_cli.stack.stack import Stack
from tributary_domain.data_driven import DataDrivenModel, Floor, fit
from tributary_domain.path_counts import counts_of, total
from tributary_runtime.clock import SystemClock
from tributary_storage.redis import keys

LEARNS_AT_ONCE = {
    "TRIBUTARY_ATTRIBUTION_PATH_DELAY_SECONDS": "0",
    "TRIBUTARY_ATTRIBUTION_MODEL_INTERVAL_SECONDS": "1",
}


@dataclass(frozen=True)
class Installation:
    """Three Redis, one per role."""

    stack: Stack
    shop: Shop
    learner: Shop
    """A workspace that learns from little."""
    servers: dict[str, RedisServer]

    @property
    def log(self) -> redis.Redis:
        return redis.Redis(port=self.stack.installation.ports["redis"])

    def health(self, service: str) -> Health:
        return check_health(self.stack.addresses[service], service)

    def wait_for(self, health: Health, service: str) -> None:
        eventually(lambda: self.health(service) is health)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    directory = tmp_path_factory.mktemp("guards")
    with running_inbox() as inbox, running_roles(directory) as (servers, environment):
        little = {"minimum_conversions": 2, "minimum_paths": 4}
        settings = {"shop": {"destinations": [inbox.destination("purchase")]}, "learner": {"data_driven": little}}
        with (
            running_stack(directory / "stack", settings, environment | LEARNS_AT_ONCE) as (stack, keyed),
            open_shop(stack.addresses, keyed["shop"], inbox) as shop,
            open_shop(stack.addresses, keyed["learner"], inbox) as learner,
        ):
            made = Installation(stack, shop, learner, servers)
            _age(made)
            yield made


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


def test_a_state_store_that_lost_everything_is_confirmed_and_filled_again(own: Installation) -> None:
    orders = [f"lost-{number}" for number in range(6)]
    for order in orders:
        who = {"visitor_id": f"v-{order}"}
        visit = a_visit(timedelta(hours=3), event_id=f"t-{order}", **who)
        own.shop.accept(visit, an_order(order, 50 * EURO, ago=timedelta(0), **who))
    own.shop.wait_until_settled()
    before = {order: own.shop.order(order) for order in orders}
    redis.Redis(port=own.servers["state"].port).flushall()
    own.wait_for(Health.NOT_SERVING, "attribution")
    own.stack.migrate()
    with pytest.raises(LossError, match="attribution refuses to work: the Redis of role state"):
        own.stack.restart("attribution")
    own.shop.accept(an_order("meanwhile", 10 * EURO))
    _stays(lambda: own.health("attribution") is Health.NOT_SERVING)  # an epoch alone does not bring back what was lost
    own.stack.migrate("--confirm-loss", "state")
    own.wait_for(Health.SERVING, "attribution")
    for order in orders[:2]:
        browser = an_order(order, 57 * EURO, ago=timedelta(0), by=OBSERVER_BROWSER, visitor_id=f"v-{order}")
        assert [named(verdict) for verdict in own.shop.send(browser)] == ["DUPLICATE"]
    own.shop.accept(*(an_adjustment(order, 20 * EURO, ago=timedelta(0)) for order in orders[2:4]))
    own.shop.accept(
        *(a_visit(timedelta(hours=9), MAIL, event_id=f"late-{one}", visitor_id=f"v-{one}") for one in orders[4:])
    )
    own.shop.wait_for_value(orders[2], 30 * EURO)
    own.shop.wait_until_settled()
    for number, order in enumerate(orders):
        found = own.shop.order(order)
        assert [one.previous_revision for one in found.revisions] == [
            0,
            *(one.revision for one in found.revisions[:-1]),
        ], order
        assert found.newest.state.value.amount_micros == (30 if 2 <= number < 4 else 50) * EURO
        first = f"late-{order}" if number >= 4 else f"t-{order}"
        assert list(credit(found.newest.state, "first_touch")) == [first]
    assert own.shop.inbox.effects()[before[orders[0]].newest.state.conversion_id] == 1


def test_an_older_copy_of_the_state_store_is_refused_and_brought_up_to_date(own: Installation, tmp_path: Path) -> None:
    server = own.servers["state"]
    who = {"visitor_id": "v-older"}
    own.shop.accept(a_visit(timedelta(hours=3), **who), an_order("older-0", 50 * EURO, ago=timedelta(0), **who))
    own.shop.wait_until_settled()
    server.stop()
    shutil.copytree(server.home, tmp_path / "copy")
    server.start()
    own.shop.accept(an_adjustment("older-0", 20 * EURO, ago=timedelta(0)))
    own.shop.accept(an_order("older-1", 50 * EURO, ago=timedelta(0), visitor_id="v-other"))
    own.shop.accept(a_visit(timedelta(hours=9), MAIL, event_id="late-older", **who))
    own.shop.wait_for_value("older-0", 30 * EURO)
    own.shop.wait(lambda: own.shop.order("older-1"))
    own.shop.wait_until_settled()
    server.stop()
    shutil.rmtree(server.home)
    shutil.copytree(tmp_path / "copy", server.home)
    server.start()
    own.wait_for(Health.NOT_SERVING, "attribution")
    own.stack.migrate("--confirm-loss", "state")
    own.wait_for(Health.SERVING, "attribution")
    browser = an_order("older-1", 57 * EURO, ago=timedelta(0), by=OBSERVER_BROWSER, visitor_id="v-other")
    assert [named(verdict) for verdict in own.shop.send(browser)] == ["DUPLICATE"]
    own.shop.accept(an_adjustment("older-0", 5 * EURO, ago=timedelta(0)))
    own.shop.wait_for_value("older-0", 25 * EURO)
    own.shop.wait_until_settled()
    for order, value in (("older-0", 25 * EURO), ("older-1", 50 * EURO)):
        found = own.shop.order(order)
        assert [one.previous_revision for one in found.revisions].count(0) == 1
        assert found.newest.state.value.amount_micros == value
    assert list(credit(own.shop.order("older-0").newest.state, "first_touch")) == ["late-older"]


def test_a_state_store_that_lost_everything_is_made_whole_from_what_is_recorded(own: Installation) -> None:
    """The event log has forgotten it too: who is who, journeys and what was learned come back from ClickHouse."""
    shop, people = own.learner, [f"p-{number}" for number in range(6)]
    for number, person in enumerate(people):
        phone, page = f"phone-{person}", (MAIL, PAID)[number % 2]
        login = a_login(timedelta(hours=5), visitor_id=phone, customer_id=person)
        visit = a_visit(timedelta(hours=4), page, event_id=f"t-{person}", visitor_id=phone)
        shop.accept(login, visit, *([an_order(person, customer_id=person)] if number < 4 else []))
    shop.wait_until_settled()
    paths = [([("Email", "Paid Search")[n % 2]], n < 4) for n in range(6)]
    shop.wait(lambda: _has_learned(shop, paths))
    before = _answers(shop, people)
    for stream in own.log.scan_iter("trb:{l*}:log:*"):
        own.log.xtrim(stream, maxlen=0, approximate=False)
    server = own.servers["state"]
    server.kill()
    shutil.rmtree(server.home)
    server.start()
    server.wait_until_ready()
    own.stack.migrate("--confirm-loss", "state")
    own.wait_for(Health.SERVING, "attribution")
    state = redis.Redis(port=server.port)
    eventually(lambda: json.loads(state.get(keys.rebuild("progress")) or "{}").get("is_finished", False))
    assert _answers(shop, people) == before
    assert (
        "whole again after a loss"
        in CliRunner().invoke(cli, ["doctor"], env={"TRIBUTARY_STATE_URL": server.url}).output
    )
    late = a_visit(timedelta(hours=9), event_id="late", visitor_id="phone-p-0")
    shop.accept(late)
    shop.wait_until_settled()
    found = shop.order("p-0")
    assert list(credit(found.newest.state, "first_touch")) == ["late"], "over a tie of before the loss"
    assert [one.previous_revision for one in found.revisions] == [0, found.revisions[0].revision]
    shop.wait(lambda: _has_learned(shop, [(["Paid Search", "Email"], True), *paths[1:]]))


def _has_learned(shop: Shop, paths: Sequence[tuple[Sequence[str], bool]]) -> None:
    """Holds if the newest model is the one that these paths give, all at once."""
    counts = total((counts_of(path, converted=converted), 1) for path, converted in paths)
    expected = fit(counts, floor=Floor(2, 4))
    assert isinstance(expected, DataDrivenModel)
    newest = shop.query.ListModels(ListModelsRequest(page_size=1), metadata=shop.metadata).models
    evidence = expected.version, counts.paths, counts.conversions
    assert [(model.version, model.paths, model.conversions) for model in newest] == [evidence]


def _answers(shop: Shop, people: list[str]) -> list[dict[str, Any]]:
    """Returns journeys and explanations, without since when they are whole: that is another after a loss."""
    journeys = [shop.journey(identifiers={"customer_id": person}) for person in people]
    orders = [{"conversion_name": "purchase", "order_id": person} for person in people[:4]]
    explained = [
        shop.query.ExplainConversion(ExplainConversionRequest(order=order), metadata=shop.metadata) for order in orders
    ]
    for journey in journeys:
        journey.ClearField("complete_since_time")
    for one in explained:
        one.explanation.ClearField("complete_since_time")
    return [MessageToDict(message) for message in (*journeys, *explained)]


def test_jobs_that_were_lost_are_planned_again_and_nothing_is_sent_twice(own: Installation) -> None:
    own.shop.accept(an_order("sent", 10 * EURO))
    sent = own.shop.wait(lambda: own.shop.order("sent"))
    own.shop.wait_for_webhooks(sent.newest.state.conversion_id, sent.newest.revision)
    own.shop.wait_until_settled()
    redis.Redis(port=own.servers["jobs"].port).flushall()
    own.wait_for(Health.NOT_SERVING, "delivery")
    own.shop.accept(an_order("unsent", 10 * EURO))
    own.stack.migrate("--confirm-loss", "jobs")
    own.wait_for(Health.SERVING, "delivery")
    unsent = own.shop.wait(lambda: own.shop.order("unsent"))
    own.shop.wait_for_webhooks(unsent.newest.state.conversion_id, unsent.newest.revision)
    own.shop.wait_until_settled()
    assert set(own.shop.inbox.effects().values()) == {1}


def _age(own: Installation) -> None:
    """Makes the installation a day old: what is new is not restored for its being younger than the store."""
    aged = SystemClock().unix_micros() - 86_400 * 1_000_000
    for port in (own.stack.installation.ports["redis"], *(server.port for server in own.servers.values())):
        redis.Redis(port=port).hset("trb:epoch", "create_time", str(aged))
    for service in ("dedup", "attribution", "delivery"):
        own.stack.restart(service)


def _stays(holds: Callable[[], bool], seconds: float = 3.0) -> None:
    with pytest.raises(AssertionError, match="did not hold within"):
        eventually(lambda: not holds(), seconds)
