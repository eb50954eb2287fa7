"""A file is imported to its end through what passes, and where it cannot be, what became of its part is told."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.support.door import Door, running_door
from tests.support.eventually import eventually
from tests.support.stores import Stores, create_test_epoch, run_apart
from tributary_cli.command_line import cli
from tributary_runtime.authentication import new_key

LIMITED = new_key()
RATES = "date,base_currency,quote_currency,rate\n"
DEALS = "system,deal_id,stage,status,created_by,modify_time\n"


@pytest.fixture(scope="module")
def door(stores: Stores, clickhouse_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    redis_url = stores.empty_redis_url()
    run_apart(create_test_epoch(redis_url))
    key = {"id": LIMITED.id, "sha256": LIMITED.sha256, "scopes": ["ingest"], "bytes_per_second": 10_000}
    declared: dict[str, Any] = {"shop": {}, "limited": {"api_keys": [key]}}
    with running_door(tmp_path_factory.mktemp("files"), redis_url, clickhouse_url, declared) as door:
        yield door


def rates(first: int, last: int, quote: str = "USD") -> str:
    days = (date(2026, 11, 20) - timedelta(days=number) for number in range(first, last))
    return "".join(f"{day},EUR,{quote},1.5\n" for day in days)


def deals(first: int, last: int, prefix: str) -> str:
    return "".join(f"hubspot,{prefix}-{number},Open,open,7,2026-11-02\n" for number in range(first, last))


def command(door: Door, kind: str, file: str, *more: str, api_key: str = "") -> list[str]:
    return ["import", kind, file, "--target", door.ingestion.address, "--api-key", api_key or door.keys["shop"], *more]


def test_a_file_larger_than_a_keys_rate_is_imported_in_one_run(door: Door, tmp_path: Path) -> None:
    file = tmp_path / "rates.csv"
    file.write_text(RATES + rates(0, 1_200))
    arguments = command(door, "rates", str(file), "--source", "a", "--json", api_key=LIMITED.key.get_secret_value())
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.stderr
    said = json.loads(result.stdout)
    assert (said["whole"], said["outcomes"]["stored"]) == (True, 1_200)
    assert result.stderr.count("may send 10000 bytes per second") == 1, "once, however often it waits"


def test_who_may_not_wait_as_long_as_a_rate_asks_is_told_how_long_that_is(door: Door, tmp_path: Path) -> None:
    file = tmp_path / "rates.csv"
    file.write_text(RATES + rates(0, 1_200))
    arguments = command(door, "rates", str(file), "--source", "b", api_key=LIMITED.key.get_secret_value())
    result = CliRunner().invoke(cli, [*arguments, "--patience", "0.1"])
    assert result.exit_code == 1
    assert "ended early" in result.stdout
    assert "It wants to be left alone for" in result.stderr


def feed(door: Door, log: Path, *more: str) -> subprocess.Popen[bytes]:
    """Starts an import of rates from a pipe; its standard error goes to a file."""
    arguments = command(door, "rates", "-", "--json", "--publish-time", "2026-11-20", *more)
    with log.open("wb") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "tributary_cli", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        )


def stored(door: Door, stores: Stores, quote: str) -> int:
    which = f"workspace = '{door.ids['shop']}' AND quote_currency = '{quote}'"
    query = f"SELECT count() FROM exchange_rates FINAL WHERE {which} FORMAT TSV"  # noqa: S608
    return int(stores.clickhouse.execute(query))


@pytest.mark.parametrize(("quote", "comes_back"), [("USD", True), ("GBP", False)])
def test_a_restart_of_ingestion_in_the_middle_of_a_file(
    door: Door, stores: Stores, tmp_path: Path, quote: str, comes_back: bool
) -> None:
    patience = "60" if comes_back else "2"
    importing = feed(door, tmp_path / "errors", "--source", "restart", "--patience", patience)
    assert importing.stdin is not None
    try:
        importing.stdin.write((RATES + "2026-11-20,EUR,USD,1e3\n" + rates(0, 1_500, quote)).encode())
        importing.stdin.flush()
        eventually(lambda: stored(door, stores, quote) >= 1_000)  # the second call leaves when the first was answered
        door.ingestion.kill()
        importing.stdin.write(rates(1_500, 2_600, quote).encode())  # a pipe holds it
        eventually(lambda: "UNAVAILABLE" in (tmp_path / "errors").read_text())
        if comes_back:
            door.ingestion.start()
            door.ingestion.wait_until_ready()
        output, _ = importing.communicate(timeout=120)
    finally:
        importing.kill()
        importing.communicate()
        if not door.ingestion.is_running:
            door.ingestion.start()
            door.ingestion.wait_until_ready()
    said = json.loads(output)
    assert importing.returncode == 1
    assert [problem["line"] for problem in said["problems"]] == [2], "found before, and told"
    assert said["whole"] is comes_back
    known = said["outcomes"]["stored"] + said["outcomes"]["duplicate"]
    assert known == said["lines"]
    if comes_back:
        assert known == stored(door, stores, quote) == 2_600
    else:
        assert 500 <= known < 2_600
        assert "--patience" in (tmp_path / "errors").read_text()


@pytest.mark.parametrize(
    ("last", "why"),
    [
        pytest.param("hubspot,last,Ge\u00f6ffnet,open,7,2026-11-02\n".encode("latin-1"), "no UTF-8 text", id="Latin-1"),
        pytest.param(b'hubspot,last,"Open,open,7,2026-11-02\n', "no CSV", id="an open quote"),
    ],
)
def test_what_was_known_of_a_file_is_told_where_a_late_line_ends_it(
    door: Door, tmp_path: Path, last: bytes, why: str
) -> None:
    file, prefix = tmp_path / "deals.csv", why.replace(" ", "-")
    wrong = "hubspot,wrong,Open,maybe,7,2026-11-02\n"
    file.write_bytes((DEALS + wrong + deals(0, 1_200, prefix)).encode() + last)
    for outcome in ("stored", "duplicate"):
        result = CliRunner().invoke(cli, command(door, "deals", str(file), "--json"))
        assert result.exit_code == 1
        said = json.loads(result.stdout)
        assert (said["whole"], said["outcomes"][outcome]) == (False, 1_000), "two calls were full"
        assert [(problem["line"], problem["column"]) for problem in said["problems"]] == [(2, "status")]
        assert f"{why} at line 1203" in result.stderr
    result = CliRunner().invoke(cli, command(door, "deals", str(file)))
    assert "line 2: status" in result.stderr
    assert "1,000 duplicate; ended early" in " ".join(result.stdout.split())
