"""Why does this channel have this credit? The running system answers with every step, and the command shows it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
import yaml
from click.testing import CliRunner, Result
from google.protobuf.timestamp_pb2 import Timestamp

from tests.support.shop import (
    BOT,
    CALL_SECONDS,
    EURO,
    MAIL,
    NOW,
    PAID,
    Shop,
    a_visit,
    an_adjustment,
    an_order,
    causes,
    code_of,
    credit,
)
from tributary.attribution.v1.explanation_pb2 import Explanation, TouchpointExclusion
from tributary.delivery.v1.delivery_pb2 import DELIVERY_STATE_ACCEPTED
from tributary.event.v1.verdict_pb2 import REASON_CODE_BOT_USER_AGENT
from tributary.query.v1 import query_service_pb2 as contract
from tributary.query.v1 import report_pb2
from tributary_cli.command_line import cli
from tributary_cli.stack.stack import Stack

SOLD = timedelta(hours=1)
WHO = {"visitor_id": "v"}
WHOLE = 1_000_000


@pytest.fixture
def told(shop: Shop) -> Shop:
    """A shop with one order, two touches that earn it, three that do not, and a refund."""
    shop.accept(
        a_visit(timedelta(days=40), event_id="old", **WHO),
        a_visit(timedelta(days=9), MAIL, event_id="mail", **WHO),
        a_visit(timedelta(days=3), PAID, event_id="paid", **WHO),
        a_visit(timedelta(minutes=30), PAID, event_id="after", **WHO),
        an_order("o", ago=SOLD, event_id="bought", **WHO),
        backfill=True,
    )
    shop.send(a_visit(timedelta(days=2), agent=BOT, event_id="bot", **WHO))
    shop.wait_until_settled()
    return shop


def explain(shop: Shop, **request: Any) -> contract.ExplainConversionResponse:
    answer: contract.ExplainConversionResponse = shop.query.ExplainConversion(
        contract.ExplainConversionRequest(**request), timeout=CALL_SECONDS, metadata=shop.metadata
    )
    return answer


def outcomes(explanation: Explanation) -> dict[str, str]:
    return {
        one.event_id: "credited"
        if one.credited
        else TouchpointExclusion.Name(one.exclusion).removeprefix("TOUCHPOINT_EXCLUSION_").lower()
        for one in explanation.touchpoints
    }


def reported(shop: Shop, moment: Timestamp | None = None) -> dict[str, int]:
    """Returns channel -> value under linear, as of a moment."""
    request = contract.QueryReportRequest(
        metrics=[report_pb2.METRIC_VALUE],
        dimensions=[report_pb2.DIMENSION_CHANNEL],
        model="linear",
        as_of_time=moment,
    )
    request.time_range.start_time.FromDatetime(NOW - timedelta(days=2))
    request.time_range.end_time.FromDatetime(NOW + timedelta(days=1))
    rows = shop.query.QueryReport(request, timeout=CALL_SECONDS, metadata=shop.metadata).rows
    return {
        row.dimension_values[0]: row.metric_values[0].money.units * EURO + row.metric_values[0].money.micros
        for row in rows
    }


def rewrite(stack: Stack, workspace_id: str, attribution: list[dict[str, Any]]) -> None:
    """Replaces what the file says of one workspace's attribution."""
    path = stack.directory.workspaces_file
    content = yaml.safe_load(path.read_text())
    for entry in content["workspaces"]:
        if entry["id"] == workspace_id:
            entry["attribution"] = attribution
    new = path.with_suffix(".new")
    new.write_text(yaml.safe_dump(content, sort_keys=False))
    new.replace(path)


def revised_since(shop: Shop, revision: int) -> contract.GetConversionResponse:
    found = shop.order("o")
    assert found.newest.revision > revision
    return found


def run(told: Shop, stack: Stack, *arguments: str, exit_code: int = 0) -> Result:
    options = ["--target", stack.addresses["query"], "--api-key", told.workspace.api_key]
    result = CliRunner().invoke(cli, [*arguments, *options])
    assert result.exit_code == exit_code, result.output
    return result


def test_a_conversion_is_explained_and_so_is_what_was_known_before(told: Shop, street_stack: Stack) -> None:
    known = told.order("o").newest
    moment = known.publish_time
    told.accept(an_adjustment("o", 40 * EURO), a_visit(timedelta(days=5), MAIL, event_id="late", **WHO))
    told.wait_until_settled()
    newest = told.order("o").newest
    told.wait_for_webhooks(newest.state.conversion_id, newest.revision)

    answer = explain(told, order={"conversion_name": "purchase", "order_id": "o"})
    explanation = answer.explanation
    assert outcomes(explanation) == {
        "old": "outside_window",
        "mail": "credited",
        "late": "credited",
        "paid": "credited",
        "bot": "quarantined",
        "after": "after_conversion",
    }
    bot = next(one for one in explanation.touchpoints if one.event_id == "bot")
    assert list(bot.quarantine_reasons) == [REASON_CODE_BOT_USER_AGENT]
    assert all(one.HasField("accept_time") for one in explanation.touchpoints)
    assert explanation.reproduces_revision
    for model in explanation.models:
        got = {
            share.event_id: (share.credit_micros, share.value_micros) for share in model.shares if share.credit_micros
        }
        assert got == credit(answer.newest.state, model.name)
    assert [one.revision for one in answer.revisions] == [one.revision for one in told.order("o").revisions]
    assert {event_id for one in answer.revisions for event_id in one.causing_event_ids} >= {"late", "bought"}
    assert answer.revisions[-1].value.amount_micros == 60 * EURO
    assert [one.state for one in answer.deliveries] == [DELIVERY_STATE_ACCEPTED] * len(answer.deliveries)
    revisions = [one.revision for one in answer.revisions]
    delivered = [one.revision for one in answer.deliveries]
    # What is revised again before it could be sent is sent once, as it is then.
    assert delivered == [one for one in revisions if one in delivered]
    assert (delivered[0], delivered[-1]) == (revisions[0], revisions[-1])

    past = explain(told, event_id="bought", as_of_time=moment)
    assert outcomes(past.explanation)["late"] == "not_known_yet"
    assert past.explanation.reproduces_revision
    assert past.newest == known
    assert [one.revision for one in past.revisions] == [known.revision]
    assert past.explanation.value.amount_micros == 100 * EURO
    then = told.find(conversion_id=known.state.conversion_id, as_of_time=moment)
    assert (then.newest, causes(then)) == (known, ["INITIAL"])
    assert {one.revision for one in then.deliveries} <= {known.revision}

    assert reported(told) == {"Email": 40 * EURO, "Paid Search": 20 * EURO}
    assert reported(told, moment) == {"Email": 50 * EURO, "Paid Search": 50 * EURO}

    moment.FromMicroseconds(moment.ToMicroseconds() - 1)
    assert reported(told, moment) == {}
    for call in (explain, Shop.find):
        with pytest.raises(grpc.RpcError) as missing:
            call(told, conversion_id=known.state.conversion_id, as_of_time=moment)
        assert code_of(missing.value) is grpc.StatusCode.NOT_FOUND

    text = run(told, street_stack, "explain", "--order", "purchase", "o", "--model", "time_decay").output
    assert max(map(len, text.splitlines())) <= 100
    assert "data_driven is not used" in text
    for word in ("outside window", "after conversion", "quarantined: bot user agent", "refund", "60.00 EUR", "inbox"):
        assert word in text
    assert "These steps do not give" not in text
    document = json.loads(run(told, street_stack, "explain", known.state.conversion_id, "--json").output)
    assert document["explanation"]["reproduces_revision"]
    at = datetime.fromtimestamp(known.revision / 1e6).astimezone().isoformat()
    assert "late" in run(told, street_stack, "explain", "--event", "bought", "--as-of", at).output


def test_other_settings_are_tried_and_nothing_is_stored(told: Shop, street_stack: Stack) -> None:
    before = told.order("o")
    request = contract.SimulateAttributionRequest(order={"conversion_name": "purchase", "order_id": "o"})
    request.settings.lookback_days = 60
    answer = told.query.SimulateAttribution(request, timeout=CALL_SECONDS, metadata=told.metadata)
    (first,) = [model for model in answer.explanation.models if model.name == "first_touch"]
    assert {share.event_id: share.credit_micros for share in first.shares} == {"old": WHOLE, "mail": 0, "paid": 0}
    assert [touch.event_id for touch in answer.explanation.published_touches] == ["mail", "paid"]

    request.settings.lookback_days = 0
    with pytest.raises(grpc.RpcError) as refused:
        told.query.SimulateAttribution(request, timeout=CALL_SECONDS, metadata=told.metadata)
    assert code_of(refused.value) is grpc.StatusCode.INVALID_ARGUMENT

    order = ("--order", "purchase", "o")
    text = run(
        told, street_stack, "simulate", *order, "--position-weights", "90,0,10", "--model", "position_based"
    ).output
    assert max(map(len, text.splitlines())) <= 100
    assert "90.0000" in text
    assert "the credit would be another" in text
    same = run(told, street_stack, "simulate", *order, "--lookback-days", "30").output
    assert "the credit stays as it is" in same
    half = json.loads(run(told, street_stack, "simulate", *order, "--half-life-hours", "144", "--json").output)
    (decay,) = [model for model in half["explanation"]["models"] if model["name"] == "time_decay"]
    assert [share["credit_micros"] for share in decay["shares"]] == [333_333, 666_667]
    unknown = run(told, street_stack, "simulate", *order, "--data-driven", "m1:none", exit_code=1)
    assert "There is no such model" in unknown.output
    assert told.order("o") == before


def test_the_past_is_credited_anew_on_purpose_only(told: Shop, street_stack: Stack) -> None:
    before = told.order("o")
    preview = run(told, street_stack, "reattribute", "--preview", "--lookback-days", "60", "--model", "first_touch")
    assert "1 of 1 conversions would change." in preview.stdout
    assert max(map(len, preview.stdout.splitlines())) <= 100
    document = json.loads(
        run(told, street_stack, "reattribute", "--preview", "--model-lookback", "linear=60", "--json").stdout
    )
    rows = {(row["model"], row["channel"]): row["value"] for row in document["rows"]}
    assert rows["linear", "Paid Search"] == {"before": "50.00", "after": "66.666667"}
    assert rows["first_touch", "Email"] == {"before": "100.00", "after": "100.00"}
    assert told.order("o") == before

    done = run(told, street_stack, "reattribute", "--yes", "--last", "1d", "--name", "purchase")
    assert "0 of 1 conversions changed." in done.stdout  # the settings in the file are those it was credited under
    assert told.order("o") == before

    newest = run(told, street_stack, "reattribute", "--preview", "--data-driven", "newest")
    assert "0 of 1 conversions would change." in newest.stdout  # there is no model yet
    unknown = run(told, street_stack, "reattribute", "--yes", "--data-driven", "m1:none", exit_code=1)
    assert "There is no such model" in unknown.output

    rewrite(street_stack, told.workspace.id, [{"lookback_days": 60}])

    def is_changed() -> None:
        """The services look at the file every few seconds."""
        found = run(told, street_stack, "reattribute", "--yes", "--last", "1d", "--json")
        assert json.loads(found.stdout)["changed"] == 1

    told.wait(is_changed)
    after = told.wait(lambda: revised_since(told, before.newest.revision))
    assert causes(after) == ["INITIAL", "SETTINGS_CHANGE"]
    assert credit(after.newest.state, "first_touch") == {"old": (WHOLE, 100 * EURO)}
    assert after.newest.value_delta_micros == 0
    webhooks = told.wait_for_webhooks(after.newest.state.conversion_id, after.newest.revision)
    assert webhooks[-1].data["causes"] == ["settings_change"]
    past = explain(told, event_id="bought", as_of_time=before.newest.publish_time)
    assert past.explanation.settings.lookback_days == 30  # of then, though the file says otherwise by now
    assert past.explanation.reproduces_revision

    request = contract.ReattributeRequest()
    request.time_range.start_time.FromDatetime(datetime(2020, 1, 1, tzinfo=UTC))
    request.time_range.end_time.FromDatetime(datetime(2040, 1, 1, tzinfo=UTC))
    key = (("authorization", f"Bearer {told.workspace.scoped['query']}"),)
    with pytest.raises(grpc.RpcError) as refused:
        told.query.Reattribute(request, timeout=CALL_SECONDS, metadata=key)
    assert code_of(refused.value) is grpc.StatusCode.PERMISSION_DENIED
