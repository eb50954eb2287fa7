"""The client and its process: forgotten, forked, and several with one spool."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.eventually import eventually
from tests.support.scripted_door import ScriptedDoor, opened

HEAD = """
import os, sys
from tributary_client import *
way = TransportKind(sys.argv[2])
client = Tributary(sys.argv[1], api_key="k", transport=way, batching=Batching(linger_seconds=float(sys.argv[3])))
def put(name, count):
    for number in range(count):
        client.identify(event_id=f"{name}-{number}", visitor_id="v")
"""
_OF_GRPC = "file descriptor was created pre fork"
"""What gRPC's poller may say in a child, which had a connection of its parent's to forget just then."""

ways = pytest.mark.parametrize("way", ["calls", "stream"])


@pytest.fixture
def door() -> ScriptedDoor:
    return ScriptedDoor()


@pytest.fixture
def target(door: ScriptedDoor) -> Iterator[str]:
    with opened(door) as address:
        yield address


def run(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", HEAD + code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    said = [line for line in done.stderr.splitlines() if _OF_GRPC not in line]
    assert (done.returncode, said) == (0, [])
    return done.stdout


@ways
def test_a_client_that_nobody_closes_sends_what_it_has_at_exit(door: ScriptedDoor, target: str, way: str) -> None:
    run("put('e', 50)", target, way, "60")
    assert len(door.accepted) == 50


@ways
def test_a_client_that_has_sent_already_sends_the_rest_at_exit(door: ScriptedDoor, target: str, way: str) -> None:
    run("put('a', 5); client.flush(); put('b', 5)", target, way, "60")
    assert len(door.accepted) == 10


def test_a_client_that_was_never_used_keeps_nobody(target: str) -> None:
    run("import threading; assert threading.active_count() == 1", target, "calls", "1")


FORK_UNUSED = """
children = []
for child in range(3):
    pid = os.fork()
    if pid == 0:
        put(f"child{child}", 20)
        client.close()
        os._exit(0)
    children.append(pid)
assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 3
put("parent", 20)
client.close()
"""


@ways
def test_a_client_made_before_the_workers_are_forked_works_in_each(door: ScriptedDoor, target: str, way: str) -> None:
    run(FORK_UNUSED, target, way, "0.01")
    assert len(door.accepted) == 80


FORK_USED = """
put("before", 20)
assert client.flush()
put("waiting", 20)
pid = os.fork()
if pid == 0:
    assert client.counters.tracked == 0
    put("child", 20)
    assert client.flush(60)
    os._exit(0)
put("parent", 20)
assert os.waitpid(pid, 0)[1] == 0
client.close()
"""


@ways
def test_a_client_that_is_forked_while_it_works_works_in_both_and_sends_nothing_twice(
    door: ScriptedDoor, target: str, way: str
) -> None:
    run(FORK_USED, target, way, "0.3")
    assert len(door.accepted) == 80
    assert len(door.events) == 80, "the child sent what its parent had taken"


def test_a_fork_is_warned_about_where_grpc_was_imported_too_early(target: str) -> None:
    code = HEAD.replace("import os, sys", "import os, sys, grpc") + (
        "put('parent', 1)\nassert client.flush()\npid = os.fork()\nif pid == 0:\n    os._exit(0)\nos.waitpid(pid, 0)\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "GRPC_ENABLE_FORK_SUPPORT"}
    done = subprocess.run(
        [sys.executable, "-c", code, target, "calls", "0.01"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert "set GRPC_ENABLE_FORK_SUPPORT=1" in done.stderr


FORK_SPOOLED = """
client = Tributary(sys.argv[1], api_key="k", transport=way, spool=Spooling(sys.argv[4]))
put("parent", 20)
pid = os.fork()
if pid == 0:
    put("child", 20)
    client.close(20)
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
assert client.flush(60)
print(sorted(os.listdir(sys.argv[4])))
client.close()
"""


@ways
def test_a_forked_child_has_a_spool_of_its_own(door: ScriptedDoor, target: str, way: str, tmp_path: Path) -> None:
    assert run(FORK_SPOOLED, target, way, "0.01", str(tmp_path)).strip() == "['lane-0', 'lane-1']"
    assert len(door.events) == len(door.accepted) == 40
    assert list(tmp_path.glob("lane-*/*.events")) == []


def test_processes_that_share_a_spool_directory_send_everything_once(
    door: ScriptedDoor, target: str, tmp_path: Path
) -> None:
    code = HEAD + (
        "client = Tributary(sys.argv[1], api_key='k', spool=Spooling(sys.argv[4]))\n"
        "put(sys.argv[5], 100)\n"
        "client.close()\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, target, "calls", "1", str(tmp_path), f"p{number}"])
        for number in range(4)
    ]
    assert [process.wait(60) for process in processes] == [0] * 4
    eventually(lambda: len(door.accepted) == 400)
    assert len(door.events) == 400
