"""A child process of the stack is waited for, stopped, and blamed with the end of its log."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.eventually import eventually
from tests.support.processes import is_alive
from tributary_cli.errors import StackError
from tributary_cli.stack.process import ChildProcess


def _child(tmp_path: Path, program: str, ready_file: str = "ready") -> ChildProcess:
    return ChildProcess(
        "child",
        [sys.executable, "-c", program],
        log_file=tmp_path / "child.log",
        is_ready=(tmp_path / ready_file).exists,
        directory=tmp_path,
    )


def test_a_child_that_ends_early_is_blamed_with_its_last_words(tmp_path: Path) -> None:
    child = _child(tmp_path, "import sys; sys.exit('no such sea')")
    child.start()
    with pytest.raises(StackError, match="ended with status 1") as raised:
        child.wait_until_ready()
    assert raised.value.detail == "no such sea"


def test_a_child_that_is_never_ready_is_given_up(tmp_path: Path) -> None:
    child = _child(tmp_path, "import threading; threading.Event().wait()")
    child.start()
    with pytest.raises(StackError, match="was not ready after"):
        child.wait_until_ready(timeout_seconds=0.2)
    child.kill()


def test_a_child_that_ignores_being_asked_is_killed(tmp_path: Path) -> None:
    program = "import pathlib, signal, threading; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    child = _child(tmp_path, program + "pathlib.Path('ready').touch(); threading.Event().wait()")
    child.start()
    child.wait_until_ready()
    child.stop(grace_seconds=0.1)
    assert not child.is_running


def test_a_child_that_is_asked_ends_in_its_own_way(tmp_path: Path) -> None:
    program = "import pathlib, signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(print('farewell')))\n"
    child = _child(tmp_path, program + "pathlib.Path('ready').touch(); signal.pause()")
    child.start()
    child.wait_until_ready()
    child.stop()
    assert child.log_tail() == "farewell"


def test_a_grandchild_goes_with_its_child(tmp_path: Path) -> None:
    program = "import pathlib, subprocess, sys, threading\n"
    program += "grandchild = subprocess.Popen([sys.executable, '-c', 'import threading; threading.Event().wait()'])\n"
    program += "pathlib.Path('pid').write_text(str(grandchild.pid)); threading.Event().wait()"
    child = _child(tmp_path, program, ready_file="pid")
    child.start()
    child.wait_until_ready()
    pid = int(eventually((tmp_path / "pid").read_text))
    child.kill()
    eventually(lambda: not is_alive(pid))


def test_a_running_child_is_not_started_twice(tmp_path: Path) -> None:
    child = _child(tmp_path, "import threading; threading.Event().wait()")
    child.start()
    with pytest.raises(StackError, match="runs already"):
        child.start()
    child.kill()
