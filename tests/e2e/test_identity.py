"""An operator looks at who is one person and takes a merge back: by RPC and by command, through query."""

from __future__ import annotations

import json
from datetime import timedelta

import grpc
import pytest
from click.testing import CliRunner

from tests.support.eventually import eventually
from tests.support.shop import (
    CALL_SECONDS,
    EURO,
    MAIL,
    PAID,
    Shop,
    a_login,
    a_visit,
    an_order,
    causes,
    code_of,
    credit,
)
from tributary.attribution.v1.identity_pb2 import IdentityChangeKind
from tributary.query.v1 import query_service_pb2 as contract
from tributary_cli.command_line import cli
from tributary_cli.stack.stack import Stack

ALONE = {"on-laptop": (1_000_000, 100 * EURO)}
WHOLE = {"on-laptop": (500_000, 50 * EURO), "on-phone": (500_000, 50 * EURO)}


def identity_of(shop: Shop, visitor_id: str) -> contract.GetIdentityResponse:
    request = contract.GetIdentityRequest(identifiers={"visitor_id": visitor_id})
    answer: contract.GetIdentityResponse = shop.query.GetIdentity(request, timeout=CALL_SECONDS, metadata=shop.metadata)
    return answer


def merged(shop: Shop) -> None:
    shop.accept(
        a_visit(timedelta(hours=9), PAID, visitor_id="phone", event_id="on-phone"),
        a_visit(timedelta(hours=6), MAIL, visitor_id="laptop", event_id="on-laptop"),
        an_order("o", ago=timedelta(hours=3), visitor_id="laptop", event_id="bought"),
    )
    shop.wait_until_settled()
    shop.accept(a_login(timedelta(hours=5), visitor_id="laptop", customer_id="anna"))
    shop.wait_until_settled()
    shop.accept(a_login(timedelta(hours=4), visitor_id="phone", customer_id="anna", event_id="wrong-login"))
    shop.wait_until_settled()
    assert credit(shop.order("o").newest.state, "linear") == WHOLE


def test_a_merge_is_shown_and_taken_back_with_the_credit_it_gave(shop: Shop) -> None:
    merged(shop)
    identity = identity_of(shop, "phone").identity
    assert len(identity.person.identity_tokens) == 3
    assert not identity.flagged
    [change] = [change for change in identity.changes if change.causing_event_id == "wrong-login"]
    assert change.kind == IdentityChangeKind.IDENTITY_CHANGE_KIND_MERGE
    assert sorted(len(person.identity_tokens) for person in change.before) == [1, 2]
    assert [person.person_id for person in change.after] == [identity.person.person_id]

    undo = contract.UndoIdentityChangeRequest(change_id=change.change_id)
    undone = shop.query.UndoIdentityChange(undo, timeout=CALL_SECONDS, metadata=shop.metadata)
    assert [change.undone_change_id for change in undone.changes] == [change.change_id]
    found = shop.order("o")
    assert credit(found.newest.state, "linear") == ALONE
    assert causes(found)[-1] == "IDENTITY_UNMERGE"
    assert len(identity_of(shop, "phone").identity.person.identity_tokens) == 1
    webhooks = shop.wait_for_webhooks(found.newest.state.conversion_id, found.newest.revision)
    assert "identity_unmerge" in webhooks[-1].data["causes"]


def test_the_command_shows_and_unmerges(shop: Shop, street_stack: Stack) -> None:
    merged(shop)
    [change] = [one for one in identity_of(shop, "phone").identity.changes if one.causing_event_id == "wrong-login"]
    reach = ["--target", street_stack.addresses["query"], "--api-key", shop.workspace.api_key]
    shown = CliRunner().invoke(cli, ["identity", "show", "--visitor-id", "phone", *reach])
    assert shown.exit_code == 0, shown.output
    assert f"{change.change_id}  " in shown.output
    assert "acquired: " in shown.output
    assert "first purchase: " in shown.output
    undone = CliRunner().invoke(cli, ["identity", "unmerge", change.change_id, *reach])
    assert undone.exit_code == 0, undone.output
    assert f"UNDO of {change.change_id}" in undone.output
    assert credit(shop.order("o").newest.state, "linear") == ALONE


def test_a_change_of_another_workspace_cannot_be_taken_back(shop: Shop, other_shop: Shop) -> None:
    merged(shop)
    change = identity_of(shop, "phone").identity.changes[0]
    undo = contract.UndoIdentityChangeRequest(change_id=change.change_id)
    with pytest.raises(grpc.RpcError) as raised:
        other_shop.query.UndoIdentityChange(undo, timeout=CALL_SECONDS, metadata=other_shop.metadata)
    assert code_of(raised.value) is grpc.StatusCode.NOT_FOUND


def test_who_was_never_heard_of_is_not_found(shop: Shop, street_stack: Stack) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        identity_of(shop, "nobody-such")
    assert code_of(raised.value) is grpc.StatusCode.NOT_FOUND
    reach = ["--target", street_stack.addresses["query"], "--api-key", shop.workspace.api_key]
    shown = CliRunner().invoke(cli, ["identity", "show", "--visitor-id", "nobody-such", *reach])
    assert shown.exit_code != 0
    assert "Nothing is known of such a person" in shown.output


def test_a_report_shows_what_was_known_at_a_moment(shop: Shop, street_stack: Stack) -> None:
    shop.accept(
        a_visit(timedelta(hours=9), PAID, visitor_id="v", event_id="seen"),
        an_order("o", ago=timedelta(hours=3), visitor_id="v", event_id="bought"),
    )
    shop.wait_until_settled()
    moment = shop.order("o").newest.publish_time.ToDatetime()
    shop.accept(a_visit(timedelta(hours=6), MAIL, visitor_id="v", event_id="late"))
    shop.wait_until_settled()
    reach = ["--target", street_stack.addresses["query"], "--api-key", shop.workspace.api_key]

    def channels(*options: str) -> set[str]:
        command = ["report", "--json", "--model", "linear", "--last", "1d", *options, *reach]
        told = CliRunner().invoke(cli, command)
        assert told.exit_code == 0, told.output
        return {row["channel"] for row in json.loads(told.output)["rows"]}

    def has_both() -> None:
        assert channels() == {"Paid Search", "Email"}

    eventually(has_both)
    assert channels("--as-of", f"{moment.isoformat()}Z") == {"Paid Search"}
