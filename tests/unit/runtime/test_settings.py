"""A process starts with settings that are right, or says everything that is wrong at once."""

from __future__ import annotations

import os
from typing import ClassVar

import pytest

from tributary_runtime.settings import (
    ServiceSettings,
    WithClickHouse,
    WithDedup,
    WithLogStore,
    WithStateStore,
    load,
    problems,
)


class SomeSettings(ServiceSettings, WithLogStore, WithStateStore, WithClickHouse):
    """Of some service."""

    service: ClassVar[str] = "dedup"

    dedup_linger_ms: int = 2
    """How long the first caller waits
    for others."""


GOOD = {
    "TRIBUTARY_INTERNAL_TOKEN": "0123456789abcdef",
    "TRIBUTARY_LOG_URL": "redis://log:6379/0",
    "TRIBUTARY_STATE_URL": "redis://:hunter2@state:6379/0",
    "TRIBUTARY_CLICKHOUSE_URL": "clickhouse://tributary:hunter2@ch:9000/tributary",
}


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in os.environ:
        if name.startswith("TRIBUTARY_"):
            monkeypatch.delenv(name)
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.mark.usefixtures("environ")
def test_a_right_environment_is_read() -> None:
    settings = load(SomeSettings)
    assert settings.log_url.get_secret_value() == "redis://log:6379/0"
    assert settings.dedup_linger_ms == 2


@pytest.mark.usefixtures("environ")
def test_a_secret_prints_as_stars() -> None:
    assert "hunter2" not in repr(load(SomeSettings))


def test_every_problem_is_told_at_once(environ: pytest.MonkeyPatch) -> None:
    environ.delenv("TRIBUTARY_LOG_URL")
    environ.setenv("TRIBUTARY_STATE_URL", "http://:hunter2@state")
    environ.setenv("TRIBUTARY_LISTEN", "50051")
    environ.setenv("TRIBUTARY_LOGLEVEL", "debug")
    found = problems(SomeSettings, os.environ)
    assert {problem.partition(":")[0] for problem in found} == {
        "TRIBUTARY_LOG_URL",
        "TRIBUTARY_STATE_URL",
        "TRIBUTARY_LISTEN",
        "TRIBUTARY_LOGLEVEL",
    }


def test_a_problem_is_one_line_and_says_what_the_setting_means(environ: pytest.MonkeyPatch) -> None:
    environ.setenv("TRIBUTARY_DEDUP_LINGER_MS", "soon")
    (problem,) = problems(SomeSettings, os.environ)
    assert problem.endswith(" (How long the first caller waits for others.)")


def test_no_value_is_in_a_problem(environ: pytest.MonkeyPatch) -> None:
    environ.setenv("TRIBUTARY_STATE_URL", "http://:hunter2@state")
    environ.setenv("TRIBUTARY_INTERNAL_TOKEN", "hunter2")
    assert "hunter2" not in "".join(problems(SomeSettings, os.environ))


def test_a_wrong_environment_ends_the_process_with_status_2(
    environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environ.delenv("TRIBUTARY_LOG_URL")
    with pytest.raises(SystemExit) as ending:
        load(SomeSettings)
    assert ending.value.code == 2
    assert "TRIBUTARY_LOG_URL: is required" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "is_refused"),
    [
        pytest.param("TRIBUTARY_WORKSPACES_FILE", False, id="shared, of another service"),
        pytest.param("TRIBUTARY_QUERY_CACHE_SECONDS", False, id="another service's own"),
        pytest.param("TRIBUTARY_DEDUP_TARGET", False, id="shared, named like its own"),
        pytest.param("TRIBUTARY_DEDUP_LINGER_SECONDS", True, id="its own, misspelt"),
        pytest.param("TRIBUTARY_CLICKHOUSE_URI", True, id="nobody's"),
        pytest.param("TRIBUTARY_DEDUP_SERVICE_HOST", False, id="a Kubernetes Service"),
        pytest.param("TRIBUTARY_DEDUP_PORT_50051_TCP_ADDR", False, id="its port"),
        pytest.param("TRIBUTARY_PORT", False, id="a Service of the release's name"),
        pytest.param("OTEL_EXPORTER_OTLP_ENDPOINT", False, id="not ours"),
    ],
)
def test_a_name_that_no_service_knows_is_refused(environ: pytest.MonkeyPatch, name: str, is_refused: bool) -> None:
    environ.setenv(name, "x")
    assert bool(problems(SomeSettings, os.environ)) is is_refused


def test_an_empty_variable_is_an_absent_one(environ: pytest.MonkeyPatch) -> None:
    environ.setenv("TRIBUTARY_LISTEN", "")
    assert load(SomeSettings).listen == "0.0.0.0:50051"


def test_a_services_own_setting_must_be_named_after_it() -> None:
    with pytest.raises(TypeError, match="name it query_linger"):
        type(
            "Wrong",
            (ServiceSettings,),
            {"service": "query", "__module__": __name__, "__annotations__": {"linger": int}, "linger": 1},
        )


def test_a_service_must_be_one_of_the_five() -> None:
    with pytest.raises(TypeError, match="service must be one of"):
        type("Wrong", (ServiceSettings, WithDedup), {"service": "intake", "__module__": __name__})


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        pytest.param({"CERTIFICATE_FILE": "/a"}, "KEY_FILE", id="a certificate without its key"),
        pytest.param({"KEY_FILE": "/a"}, "CERTIFICATE_FILE", id="a key without its certificate"),
        pytest.param({"CLIENT_CA_FILE": "/a"}, "CERTIFICATE_FILE", id="callers' certificates without TLS"),
    ],
)
def test_half_of_tls_is_refused(monkeypatch: pytest.MonkeyPatch, given: dict[str, str], missing: str) -> None:
    monkeypatch.setenv("TRIBUTARY_INTERNAL_TOKEN", "0123456789abcdef")
    for name, value in given.items():
        monkeypatch.setenv(f"TRIBUTARY_TLS_{name}", value)
    (problem,) = problems(ServiceSettings, os.environ)
    assert f"TRIBUTARY_TLS_{missing}" in problem


def test_what_the_command_reads_is_no_mistake_of_a_services(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIBUTARY_INTERNAL_TOKEN", "0123456789abcdef")
    monkeypatch.setenv("TRIBUTARY_CLI_DATA", "/somewhere")
    assert problems(ServiceSettings, os.environ) == []


class OfTheCommand(WithLogStore):
    """Of the command `tributary`."""

    service: ClassVar[str] = "cli"


def test_nor_is_it_one_of_the_commands_own(environ: pytest.MonkeyPatch) -> None:
    environ.setenv("TRIBUTARY_CLI_DATA", "/somewhere")
    environ.setenv("TRIBUTARY_CLI_DATE", "a slip of the pen")
    assert problems(OfTheCommand, os.environ) == ["TRIBUTARY_CLI_DATE: no setting has this name"]
