"""A file of events goes in with `tributary send`, its credit comes out with `tributary report`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.support.eventually import eventually
from tests.support.stack import KeyedWorkspace, SharedStack
from tributary_cli.command_line import cli

NOW = datetime.now(UTC)  # noqa: TID251 - events must lie within the accept window


def _at(minutes_ago: int) -> str:
    return (NOW - timedelta(minutes=minutes_ago)).isoformat()


def _visit(event_id: str, visitor: str, minutes_ago: int, page: str) -> dict[str, Any]:
    agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"
    return {
        "eventId": event_id,
        "eventTime": _at(minutes_ago),
        "touchpoint": {"kind": "TOUCHPOINT_KIND_VISIT"},
        "identifiers": {"visitorId": visitor},
        "context": {"pageUrl": page, "userAgent": agent, "observedBy": "OBSERVER_BROWSER"},
    }


def _order(event_id: str, visitor: str, minutes_ago: int, euros: int) -> dict[str, Any]:
    return {
        "eventId": event_id,
        "eventTime": _at(minutes_ago),
        "conversion": {
            "name": "purchase",
            "orderId": f"order-{event_id}",
            "value": {"currencyCode": "EUR", "amountMicros": str(euros * 1_000_000)},
        },
        "identifiers": {"visitorId": visitor},
    }


@pytest.fixture
def options(stack: SharedStack, keyed_workspace: KeyedWorkspace) -> dict[str, list[str]]:
    """How to reach the shared installation as a workspace of the test's own, per service."""
    key = ["--api-key", keyed_workspace.api_key]
    return {name: ["--target", stack.addresses[name], *key] for name in ("ingestion", "query")}


def _send(options: Mapping[str, list[str]], file: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["send", str(file), *arguments, *options["ingestion"]])


def _write(path: Path, *events: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    return path


def _report(options: Mapping[str, list[str]], *arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(cli, ["report", "--json", *arguments, *options["query"]])
    assert result.exit_code == 0, result.output
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def test_the_credit_of_a_file_is_in_the_report(options: dict[str, list[str]], tmp_path: Path) -> None:
    file = _write(
        tmp_path / "events.jsonl",
        _visit("v-1", "anna", 120, "https://shop.example/?utm_source=google&utm_medium=cpc&gclid=abc"),
        _visit("v-2", "anna", 60, "https://shop.example/?utm_source=newsletter&utm_medium=email"),
        _order("c-1", "anna", 5, 30),
        _order("c-2", "nobody-seen-before", 5, 12),
    )
    sent = _send(options, file, "--json")
    assert sent.exit_code == 0, sent.output
    assert json.loads(sent.stdout)["verdicts"]["accepted"] == 4

    def credited() -> None:
        rows = _report(options, "--model", "linear", "--last", "1d")["rows"]
        amounts = {row["channel"]: row["value"]["amount"] for row in rows}
        assert amounts == {"Email": "15.000000", "Paid Search": "15.000000", "unattributed": "12.000000"}

    eventually(credited)


def test_a_file_that_is_sent_again_changes_nothing(options: dict[str, list[str]], tmp_path: Path) -> None:
    file = _write(tmp_path / "events.jsonl", _order("c-1", "bert", 5, 10))
    _send(options, file)
    again = _send(options, file, "--json")
    assert again.exit_code == 0
    assert json.loads(again.stdout)["verdicts"]["duplicate"] == 1


def test_what_is_not_taken_is_told_line_by_line_and_shows_in_the_exit_status(
    options: dict[str, list[str]], tmp_path: Path
) -> None:
    nameless = _order("c-1", "carl", 5, 10)
    del nameless["conversion"]["name"]
    file = _write(tmp_path / "events.jsonl", nameless, _order("c-2", "carl", 5, 10), {"colour": "blue"})
    result = _send(options, file)
    assert result.exit_code == 1
    assert "line 1: rejected: conversion.name" in result.stderr
    assert "line 3: unreadable: colour" in result.stderr
    assert "accepted" in result.stdout


def test_a_wrong_key_is_said_in_a_sentence(stack: SharedStack, tmp_path: Path) -> None:
    file = _write(tmp_path / "events.jsonl", _order("c-1", "dora", 5, 10))
    arguments = ["send", str(file), "--target", stack.addresses["ingestion"], "--api-key", "trb_nobody_secret"]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 1
    assert "UNAUTHENTICATED" in result.stderr
    assert "Traceback" not in result.stderr


def test_validate_only_stores_nothing(options: dict[str, list[str]], tmp_path: Path) -> None:
    file = _write(tmp_path / "events.jsonl", _order("c-1", "emil", 5, 10))
    validated = _send(options, file, "--validate-only", "--json")
    assert json.loads(validated.stdout)["verdicts"]["valid"] == 1
    sent = _send(options, file, "--json")
    assert json.loads(sent.stdout)["verdicts"]["accepted"] == 1


def test_a_report_without_wishes_keeps_currencies_apart_instead_of_failing(
    options: dict[str, list[str]], tmp_path: Path
) -> None:
    dollars = _order("c-2", "gina", 5, 20)
    dollars["conversion"]["value"]["currencyCode"] = "USD"
    _send(options, _write(tmp_path / "events.jsonl", _order("c-1", "fred", 5, 10), dollars))

    def apart() -> None:
        rows = _report(options)["rows"]
        assert {row["currency"]: row["value"]["amount"] for row in rows} == {"EUR": "10.000000", "USD": "20.000000"}

    eventually(apart)
    chosen = CliRunner().invoke(cli, ["report", "--by", "channel", *options["query"]])
    assert chosen.exit_code == 1
    assert "CURRENCY" in chosen.stderr
