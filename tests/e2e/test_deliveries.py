"""The command shows what was sent to a destination, pauses it, and sends again what was given up."""

from __future__ import annotations

import json
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.e2e.conftest import Street
from tests.support.consent_strings import naming
from tests.support.inbox import Inbox
from tests.support.shop import Shop, a_visit, an_order, open_shop
from tributary_cli.command_line import cli
from tributary_cli.stack.stack import Stack


@pytest.fixture
def run(street_stack: Stack, shop: Shop) -> Any:
    return partial(_called, street_stack, shop)


def _called(stack: Stack, shop: Shop, *arguments: str) -> Result:
    where = ["--target", stack.addresses["query"], "--api-key", shop.workspace.api_key]
    return CliRunner().invoke(cli, ["deliveries", *arguments, *where], catch_exceptions=False)


def test_what_was_sent_is_listed_and_a_destination_is_paused_and_resumed(run: Any, shop: Shop) -> None:
    shop.accept(an_order("o-1", ago=timedelta(minutes=1), customer_id="c-1"))
    conversion_id = shop.wait(lambda: shop.order("o-1")).newest.state.conversion_id
    shop.wait(lambda: shop.inbox.of(conversion_id))
    shop.wait_until_settled()

    [destination] = json.loads(run("destinations", "--json").output)
    name = destination["destination_id"]
    [delivery] = json.loads(run("list", conversion_id, "--json").output)
    assert (delivery["destination_id"], delivery["state"]) == (name, "DELIVERY_STATE_ACCEPTED")
    assert conversion_id in run("list", "--state", "accepted", "--destination", name).output
    assert "No delivery meets this." in run("list", "--error", "PERMANENT").output
    assert run("list", "--state", "nonsense").exit_code == 2
    before = len(shop.inbox.webhooks)
    tried = run("test", name)
    assert (tried.exit_code, tried.output.count("passed")) == (0, 5)
    assert json.loads(run("test", name, "--json").output)["passed"] is True
    assert [one.type for one in shop.inbox.webhooks[before:]] == ["destination.test"] * 2
    assert len(json.loads(run("list", "--json").output)) == 1, "nothing is stored"

    paused = run("pause", name, "--why", "the agency asked")
    assert "PAUSED: the agency asked" in paused.output
    assert json.loads(run("pause", name, "--why", "the agency asked", "--json").output)["paused"] is True
    shop.accept(an_order("o-2", ago=timedelta(minutes=1), customer_id="c-1"))
    shop.wait(lambda: json.loads(run("destinations", "--json").output)[0].get("pending"))
    waiting_id = shop.wait(lambda: shop.order("o-2")).newest.state.conversion_id
    assert shop.inbox.of(waiting_id) == []

    def listed() -> None:
        assert waiting_id in run("list", "--state", "PENDING").output, "nobody has looked at it"

    shop.wait(listed)  # what is planned may not be stored yet
    first = json.loads(run("list", conversion_id, waiting_id, "--limit", "1", "--json").output)
    assert [one["conversion_id"] for one in first] == [waiting_id], "what waits comes first, and counts"
    assert "captured 2  consented 1  eligible 1  sent 1  accepted 1" in run("funnel").output
    assert "reports: none" in run("funnel").output
    assert "reports: none" in run("destinations").output
    [row] = json.loads(run("funnel", "--destination", name, "--json").output)
    assert (row["captured"], row["waiting"], row["accepted"]) == ("2", "1", "1"), "what waits is in it"
    assert row["reports_later"] is False
    assert json.loads(run("resume", name, "--json").output)["destination_id"] == name
    shop.wait(lambda: shop.inbox.of(shop.order("o-2").newest.state.conversion_id))

    nothing = run("replay", "--state", "DEAD", "--dry-run")
    assert (nothing.exit_code, nothing.output) == (0, "0 deliveries meet this; 0 conversions would be sent again.\n")
    assert run("replay").exit_code == 2
    assert run("pause", "another").exit_code == 1


def test_a_later_consent_string_that_drops_one_vendor_stops_what_waits_for_that_one_alone(
    street: Street, inbox: Inbox
) -> None:
    with open_shop(street.stack.addresses, street.advertised, inbox) as shop:
        run = partial(_called, street.stack, shop)
        for name in street.ads:
            assert run("pause", name, "--why", "the person is about to decide").exit_code == 0
        order = an_order("o-1", ago=timedelta(minutes=2), email="anna@shop.example")
        order.consent.tcf_string = naming(4, 755)
        shop.accept(order)

        def waiting() -> list[str]:
            return [one["pending"] for one in json.loads(run("destinations", "--json").output) if one.get("pending")]

        def both_wait() -> None:
            assert waiting() == ["1", "1"]

        shop.wait(both_wait)
        visit = a_visit(timedelta(minutes=1), email="anna@shop.example")
        visit.consent.tcf_string = naming(4)
        shop.accept(visit)
        shop.wait_until_logs_are_read()
        for name in street.ads:
            assert run("resume", name).exit_code == 0

        def settled() -> dict[str, str]:
            told = json.loads(run("list", "--json").output)
            states = {one["destination_id"]: one["state"].removeprefix("DELIVERY_STATE_") for one in told}
            assert set(states) == {"google", "meta"}, told
            return states

        assert shop.wait(settled) == {"google": "INELIGIBLE", "meta": "ACCEPTED"}
    assert street.ads["google"].asks == []
    assert street.ads["meta"].fake.accepted == 1
