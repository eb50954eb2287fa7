"""The stack as tests and the demo use it: any part can be killed and brought back; a bad start leaves nothing."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import grpc
import pytest

from tests.support.eventually import PATIENCE_SECONDS, eventually
from tests.support.processes import is_alive
from tests.support.stack import KeyedWorkspace, render_workspaces
from tributary.query.v1.query_service_pb2 import GetIntegrityRequest
from tributary.query.v1.query_service_pb2_grpc import QueryServiceStub
from tributary_cli.errors import StackError
from tributary_cli.stack.health import SERVICES, Health, check_health
from tributary_cli.stack.stack import Stack


@dataclass(frozen=True, slots=True)
class Own:
    """An installation of these tests' own, because they kill its parts; its workspaces lie elsewhere."""

    stack: Stack
    file: Path
    """Its workspaces.yaml."""
    shop: KeyedWorkspace
    """The one workspace that is in the file at first."""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    directory = tmp_path_factory.mktemp("stack")
    file = directory / "my workspaces.yaml"
    text, keyed = render_workspaces({"shop": {}})
    file.write_text(text)
    with Stack(directory / "data", workspaces=file) as stack:
        yield Own(stack, file, keyed["shop"])


@pytest.fixture
def own_stack(own: Own) -> Stack:
    return own.stack


@pytest.mark.parametrize("part", ["redis", "clickhouse", *SERVICES])
def test_a_part_that_was_killed_is_brought_back_where_it_was(own_stack: Stack, part: str) -> None:
    pid = own_stack.processes()[part].pid
    own_stack.kill(part)
    assert not is_alive(pid)
    own_stack.restart(part)
    assert own_stack.processes()[part].pid != pid
    assert own_stack.is_running


def test_a_service_can_be_restarted_with_another_setting(own_stack: Stack) -> None:
    own_stack.restart("query", {"TRIBUTARY_REFLECTION": "true"})
    assert check_health(own_stack.addresses["query"], "query", PATIENCE_SECONDS) is Health.SERVING


def test_a_wanted_port_that_is_in_use_is_said_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        stack = Stack(tmp_path, ports={"query": port})
        with pytest.raises(StackError, match=f"Port {port}, wanted for query, is in use"):
            stack.start()
    assert not stack.directory.is_locked()


def test_workspaces_that_cannot_be_used_are_said_before_anything_starts(tmp_path: Path) -> None:
    stack = Stack(tmp_path, workspaces="workspaces: [{id: shop, colour: blue}]")
    with pytest.raises(StackError, match=r"workspaces.yaml cannot be used\.\nCorrect it") as raised:
        stack.start()
    assert "workspaces.0.colour: unknown key" in raised.value.detail
    assert not stack.directory.is_locked()


def test_a_start_that_fails_leaves_no_process_and_says_why(tmp_path: Path) -> None:
    stack = Stack(tmp_path, environment={"TRIBUTARY_REFLECTION": "perhaps"})
    with pytest.raises(StackError, match="ended with status 2") as raised:
        stack.start()
    assert "TRIBUTARY_REFLECTION: Input should be a valid boolean" in raised.value.detail
    assert not any(process.is_running for process in stack.processes().values())
    assert not stack.directory.is_locked()


def _ask(stack: Stack, workspace: KeyedWorkspace) -> grpc.StatusCode:
    with grpc.insecure_channel(stack.addresses["query"]) as channel:
        try:
            QueryServiceStub(channel).GetIntegrity(
                GetIntegrityRequest(), metadata=[("authorization", f"Bearer {workspace.api_key}")], timeout=60
            )
        except grpc.RpcError as error:
            return cast(grpc.Call, error).code()
        return grpc.StatusCode.OK


def test_a_workspaces_file_is_used_where_it_lies_and_remembered(own: Own) -> None:
    """Stands last: the others need it."""
    eventually(lambda: _ask(own.stack, own.shop) is grpc.StatusCode.OK)  # its parts were killed a moment ago
    assert not own.stack.directory.workspaces_file.exists()
    edited, other = render_workspaces({"other": {}})
    assert _ask(own.stack, other["other"]) is grpc.StatusCode.UNAUTHENTICATED
    own.file.write_text(edited)
    eventually(lambda: _ask(own.stack, other["other"]) is grpc.StatusCode.OK)
    own.stack.stop()
    data = own.stack.directory.path
    with Stack(data) as stack:
        assert _ask(stack, other["other"]) is grpc.StatusCode.OK
    own.file.unlink()
    with pytest.raises(StackError, match=r"my workspaces\.yaml, which the last start used, is gone"):
        Stack(data).start()
