"""`tributary migrate` makes the stores ready, once; `tributary doctor` says what is not."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path

import pytest
import redis
from click.testing import CliRunner, Result

from tests.support.attribution import Events, record
from tests.support.ports import free_address
from tests.support.stores import Stores, running_redis
from tributary.event.v1.verdict_pb2 import REASON_CODE_PERSONAL_DATA_REDACTED
from tributary_cli.command_line import cli
from tributary_domain.redacted_ids import TOLD_APART
from tributary_storage.clickhouse.client import connect


@pytest.fixture(scope="module")
def clickhouse_url(stores: Stores) -> Iterator[str]:
    """A database in which nothing was ever recorded: beside an empty Redis it does not look like a loss."""
    with stores.a_database("examined") as url:
        yield url


@pytest.fixture
def environment(redis_url: str, clickhouse_url: str) -> dict[str, str]:
    """Where the stores are: an empty Redis database of the test's own, and ClickHouse, migrated."""
    roles = {f"TRIBUTARY_{role}_URL": redis_url for role in ("LOG", "STATE", "JOBS")}
    return {**roles, "TRIBUTARY_CLICKHOUSE_URL": clickhouse_url}


@pytest.fixture
def untouched(environment: dict[str, str], stores: Stores, workspace: str) -> dict[str, str]:
    """As `environment`, but with a ClickHouse database that is not there."""
    fresh = stores.clickhouse_url.replace("/tributary", f"/{workspace.replace('-', '_')}")
    return {**environment, "TRIBUTARY_CLICKHOUSE_URL": fresh}


def _run(environment: Mapping[str, str], *arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments, env=environment)


def _migrate(environment: Mapping[str, str], *arguments: str) -> dict[str, object]:
    done = _run(environment, "migrate", "--json", *arguments)
    assert done.exit_code == 0, done.stderr
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def test_a_second_run_keeps_the_epoch_and_applies_nothing(untouched: dict[str, str]) -> None:
    first = _migrate(untouched, "--shards", "2", "--claims", "1000")
    assert first["is_epoch_new"]
    assert first["shards"] == 2
    assert first["applied"]
    second = _migrate(untouched)
    assert second == {**first, "is_epoch_new": False, "applied": []}


def test_another_number_of_shards_is_refused_in_a_sentence(environment: dict[str, str]) -> None:
    _migrate(environment)
    done = _run(environment, "migrate", "--shards", "16")
    assert done.exit_code == 1
    assert "shards = 4" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_role_that_was_added_later_gets_the_same_epoch(environment: dict[str, str], stores: Stores) -> None:
    first = _migrate(environment)
    added = stores.empty_redis_url()
    _migrate({**environment, "TRIBUTARY_JOBS_URL": added})
    with redis.Redis.from_url(added) as client:
        assert client.hget("trb:epoch", "epoch_id") == str(first["epoch_id"]).encode()


def test_a_redis_that_does_not_answer_is_said_in_a_sentence(environment: dict[str, str]) -> None:
    done = _run({**environment, "TRIBUTARY_LOG_URL": f"redis://{free_address()}"}, "migrate")
    assert done.exit_code == 1
    assert "did not answer" in done.stderr
    assert "Traceback" not in done.stderr


def test_every_setting_that_is_missing_is_said_at_once(environment: dict[str, str]) -> None:
    named, *missing = environment
    done = _run({named: environment[named]}, "migrate")
    assert done.exit_code == 2
    assert all(name in done.stderr for name in missing)


def test_that_neither_variables_nor_an_installation_say_which_stores_is_said(
    environment: dict[str, str], tmp_path: Path
) -> None:
    done = _run({}, "migrate", "--data", str(tmp_path), "--confirm-loss", "log")
    assert done.exit_code == 1
    assert f"No TRIBUTARY_*_URL is set, and no local installation runs in {tmp_path}." in done.stderr
    assert all(name in done.stderr for name in ("`tributary up`", "--confirm-loss", *environment))


def _examine(environment: Mapping[str, str], *arguments: str) -> tuple[int, dict[str, dict[str, object]]]:
    done = _run(environment, "doctor", "--json", *arguments)
    answer = json.loads(done.stdout)
    assert answer["ok"] == (done.exit_code == 0)
    return done.exit_code, {check["name"]: check for check in answer["checks"]}


def test_doctor_finds_migrated_stores_well(environment: dict[str, str]) -> None:
    _migrate(environment)
    _, checks = _examine(environment)
    assert all(checks[name]["is_ok"] for name in ("redis:log", "redis:state", "redis:jobs", "clickhouse"))


def test_doctor_says_until_when_lost_claims_are_looked_up(environment: dict[str, str]) -> None:
    _migrate(environment)
    assert "looked up" not in str(_examine(environment)[1]["redis:log"]["said"])
    assert _run(environment, "migrate", "--confirm-loss", "log").exit_code == 0
    said = str(_examine(environment)[1]["redis:log"]["said"])
    with redis.Redis.from_url(environment["TRIBUTARY_LOG_URL"]) as log:
        loss_seconds = int(log.hget("trb:epoch", "loss_time")) / 1e6
    days = [datetime.fromtimestamp(loss_seconds + 86_400 * days, UTC).date() for days in (37, 400)]
    assert f"event ids until {days[0]}" in said
    assert f"orders and refunds until {days[1]}" in said


def test_doctor_says_which_workspaces_use_addresses_as_ids(environment: dict[str, str], workspace: str) -> None:
    _migrate(environment)
    fields = {f"{workspace}-{number}": field for number, field in enumerate(sorted(TOLD_APART))}
    cut = {f"{workspace}-texts": "conversion.items[0].name"}
    asyncio.run(_record(environment["TRIBUTARY_CLICKHOUSE_URL"], fields | cut))
    _, checks = _examine(environment)
    found = {name: check["is_ok"] for name, check in checks.items() if name.startswith(f"ids:{workspace}")}
    assert found == {f"ids:{one}": False for one in fields}, fields


async def _record(clickhouse_url: str, fields: Mapping[str, str]) -> None:
    """Records by workspace an event that was warned of for one of its fields, which has a token where it is an id."""
    async with connect(clickhouse_url, name="tests") as clickhouse:
        for workspace, field in fields.items():
            events = Events(workspace)
            made = events.refund if field.startswith("adjustment.") else events.order
            letter, admitted = made(micros=1, event_id="e-1", at=time.time_ns() // 1_000)
            if field in TOLD_APART:
                path, _, name = f"event.{field}".rpartition(".")
                setattr(attrgetter(path)(admitted), name, "x1:" + "0" * 24)
            admitted.reasons.add(code=REASON_CODE_PERSONAL_DATA_REDACTED, field=field)
            await record(clickhouse, workspace, (letter, admitted))


@pytest.mark.parametrize("mode", ["fsync", "attested", "none"])
def test_doctor_says_which_durability_is_declared(environment: dict[str, str], mode: str) -> None:
    _migrate(environment)
    done = _run({**environment, "TRIBUTARY_DURABILITY": mode}, "doctor", "--json")
    said = {check["name"]: check["said"] for check in json.loads(done.stdout)["checks"]}
    for role in ("log", "state", "jobs"):
        assert f"durability {mode}" in said[f"redis:{role}"]


def test_doctor_says_that_the_operator_vouches_for_the_log(environment: dict[str, str]) -> None:
    _migrate(environment)
    assert "dedup:continuity" not in _examine(environment)[1]
    _, checks = _examine({**environment, "TRIBUTARY_DEDUP_ACCEPT_OLDER_LOG": "true"})
    assert not checks["dedup:continuity"]["is_ok"]


def test_doctor_says_that_replicas_are_missing(environment: dict[str, str]) -> None:
    _migrate(environment)
    done = _run({**environment, "TRIBUTARY_DURABILITY": "replicated"}, "doctor", "--json")
    steps = {check["name"]: check["next_step"] for check in json.loads(done.stdout)["checks"]}
    assert "connect at least 1" in steps["redis:log"]


def test_doctor_sends_who_has_not_migrated_to_migrate(untouched: dict[str, str]) -> None:
    status, checks = _examine(untouched)
    assert status == 1
    for name in ("redis:log", "clickhouse"):
        assert "tributary migrate" in f"{checks[name]['said']}{checks[name]['next_step']}"


def test_doctor_says_which_setting_lets_a_redis_forget(environment: dict[str, str], tmp_path: Path) -> None:
    with running_redis(tmp_path, {"appendfsync": "everysec"}) as forgetful:
        lax = {**environment, "TRIBUTARY_STATE_URL": forgetful.url}
        _migrate(lax)
        status, checks = _examine(lax)
        assert status == 1
        assert "set `appendfsync always`" in str(checks["redis:state"]["next_step"])
        _, checks = _examine({**lax, "TRIBUTARY_DURABILITY": "none"})
        assert checks["redis:state"]["is_ok"]


def test_doctor_tells_stores_of_two_installations_apart(environment: dict[str, str], stores: Stores) -> None:
    other = {**environment, **dict.fromkeys(list(environment)[:3], stores.empty_redis_url())}
    _migrate(environment)
    _migrate(other)
    _, checks = _examine({**environment, "TRIBUTARY_JOBS_URL": other["TRIBUTARY_JOBS_URL"]})
    assert "different installations" in str(checks["redis"]["said"])


def test_doctor_says_what_does_not_answer_and_goes_on(environment: dict[str, str]) -> None:
    _migrate(environment)
    gone = {"TRIBUTARY_LOG_URL": f"redis://{free_address()}", "TRIBUTARY_QUERY_TARGET": free_address()}
    status, checks = _examine({**environment, **gone})
    assert status == 1
    assert not checks["redis:log"]["is_ok"]
    assert "unreachable" in str(checks["service:query"]["said"])
    assert checks["clickhouse"]["is_ok"]


def test_doctor_says_every_setting_and_every_line_that_is_wrong(environment: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "workspaces.yaml"
    file.write_text("workspaces: [{id: shop, colour: blue}]")
    _, checks = _examine({**environment, "TRIBUTARY_WORKSPACES_FILE": str(file), "TRIBUTARY_COLOUR": "blue"})
    assert "TRIBUTARY_COLOUR: no setting has this name" in str(checks["settings"]["said"])
    assert "workspaces.0.colour: unknown key" in str(checks["workspaces"]["said"])


def test_doctor_without_an_installation_says_how_to_get_one(tmp_path: Path) -> None:
    status, checks = _examine({}, "--data", str(tmp_path))
    assert status == 1
    assert "tributary up" in str(checks["installation"]["next_step"])
    assert checks["local:redis-server"]["is_ok"]
    assert checks["local:clickhouse"]["is_ok"]
