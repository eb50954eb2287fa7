"""A person is erased by command: said first, done then, and proved by what is found after it."""

from __future__ import annotations

import json
from datetime import timedelta

import grpc
import pytest
from click.testing import CliRunner

from tests.support.shop import CALL_SECONDS, MAIL, PAID, Shop, a_login, a_visit, an_order, code_of, named
from tributary.query.v1 import query_service_pb2 as contract
from tributary_cli.command_line import cli
from tributary_cli.stack.stack import Stack


def erased(shop: Shop, stack: Stack, *arguments: str) -> tuple[int, dict[str, object]]:
    """Runs the command; returns its exit status and what it says of the erasure."""
    reach = ["--target", stack.addresses["query"], "--api-key", shop.workspace.api_key, "--json"]
    result = CliRunner().invoke(cli, ["erase", *arguments, *reach])
    assert result.output.startswith("{"), result.output
    return result.exit_code, json.loads(result.output)["erasure"]


def found(erasure: dict[str, object]) -> dict[str, int]:
    remaining = erasure.get("remaining", {})
    assert isinstance(remaining, dict)
    return {name: int(number) for name, number in remaining.items() if int(number)}


def test_the_command_says_what_it_would_do_does_it_and_proves_it(shop: Shop, street_stack: Stack) -> None:
    events = [
        a_visit(timedelta(hours=9), PAID, visitor_id="laptop", event_id="came"),
        a_visit(timedelta(hours=6), MAIL, visitor_id="laptop", event_id="came-again"),
        a_login(timedelta(hours=5), visitor_id="laptop", customer_id="anna"),
        an_order("o", ago=timedelta(hours=3), visitor_id="laptop", customer_id="anna", event_id="bought"),
    ]
    shop.accept(*events)
    wrong = an_order("wrong", currency="XXZ", customer_id="anna", event_id="refused")
    wrong.context.page_url = f"{PAID}&gclid=refused"
    assert {named(verdict) for verdict in shop.send(wrong)} == {"REJECTED"}
    shop.wait_until_settled()
    conversion_id = shop.order("o").newest.state.conversion_id

    status, dry = erased(shop, street_stack, "--customer-id", "anna", "--verify")
    assert status == 1
    assert found(dry)["events"] == len(events)
    assert (found(dry)["conversions"], found(dry)["refusals"]) == (1, 1)
    assert shop.order("o").newest.state.conversion_id == conversion_id

    status, done = erased(shop, street_stack, "--customer-id", "anna", "--yes", "--reason", "asked by post")
    assert (status, done["state"], done["identifiers"]) == (0, "ERASURE_STATE_DESTROYED", 2)
    assert found(done) == {}
    assert {named(verdict) for verdict in shop.send(*events)} == {"DUPLICATE"}
    refusals = shop.query.ListRefusals(contract.ListRefusalsRequest(), timeout=CALL_SECONDS, metadata=shop.metadata)
    [refusal] = refusals.refusals
    assert (refusal.event_id, refusal.event.ByteSize()) == ("refused", 0)
    for name in ("--customer-id", "anna"), ("--visitor-id", "laptop"):
        assert erased(shop, street_stack, *name, "--verify")[0] == 0
    status, known = erased(shop, street_stack, "--erasure-id", str(done["erasure_id"]))
    assert (status, known["reason"]) == (0, "asked by post")

    request = contract.GetJourneyRequest(identifiers={"customer_id": "anna"})
    with pytest.raises(grpc.RpcError) as gone:
        shop.query.GetJourney(request, timeout=CALL_SECONDS, metadata=shop.metadata)
    assert code_of(gone.value) is grpc.StatusCode.NOT_FOUND


def test_a_reason_that_names_somebody_is_refused_and_nobody_is_erased(shop: Shop) -> None:
    named = contract.ErasePersonRequest(identifiers={"customer_id": "anna"}, reason="asked by anna@post.example")
    with pytest.raises(grpc.RpcError) as refused:
        shop.query.ErasePerson(named, timeout=CALL_SECONDS, metadata=shop.metadata)
    assert code_of(refused.value) is grpc.StatusCode.INVALID_ARGUMENT
