"""One child process of the local stack: started, waited for, stopped or killed, and started again.

It keeps one rule: no child outlives this process. An orderly end stops it; if this process is killed, even by
`kill -9`, the kernel kills the child (see `tether.py`). Linux ties that to the *thread* that started the child, so one
thread, which lives as long as the process, starts them all.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tributary_cli.errors import StackError
from tributary_cli.stack import tether

_STARTER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="child-starter")
_POLL_SECONDS = 0.01
_SLOWEST_POLL_SECONDS = 0.1
_TAIL_LINES = 15
_TAIL_BYTES = 16_384


class ChildProcess:
    """A command that runs in its own session, its output in a log file.

    Attributes:
        name: How messages call it.
        log_file: Where its standard output and error go; appended to by every start.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log_file: Path,
        is_ready: Callable[[], bool],
        directory: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Describes the process; nothing runs before `start`.

        Args:
            name: How messages call it.
            command: Program and arguments.
            log_file: Where its standard output and error go.
            is_ready: Asked repeatedly while waiting; must answer False, not raise, as long as nothing listens.
            directory: Its working directory; the caller's if None.
            environment: Its whole environment; the caller's if None.
        """
        self.name = name
        self.log_file = log_file
        self._command = tuple(command)
        self._is_ready = is_ready
        self._directory = directory
        self._environment = None if environment is None else dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._log_begin = 0

    @property
    def pid(self) -> int:
        """The process id of the last start.

        Raises:
            StackError: It was never started.
        """
        if self._process is None:
            raise StackError(f"{self.name} was never started.")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_status(self) -> int | None:
        """How the last start ended, negative if by a signal; None while it runs, or if it was never started."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Starts the process and returns at once; `wait_until_ready` says when it can be used.

        Raises:
            StackError: It runs already.
        """
        if self.is_running:
            raise StackError(f"{self.name} runs already (pid {self.pid}).")
        self._process = _STARTER.submit(self._spawn).result()

    def _spawn(self) -> subprocess.Popen[bytes]:
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), *self._command]
        with self.log_file.open("ab") as log:
            self._log_begin = log.tell()
            return subprocess.Popen(  # noqa: S603 - the command comes from our own stack
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._directory,
                env=self._environment,
                start_new_session=True,  # a terminal's Ctrl-C reaches the command line only, which stops us in order
            )

    def wait_until_ready(self, timeout_seconds: float = 60) -> None:
        """Returns when the process can be used.

        Raises:
            StackError: It ended, will never be ready, or was not in time; with the end of its log.
        """
        deadline = time.monotonic() + timeout_seconds
        pause = _POLL_SECONDS
        while not self._is_ready():
            if not self.is_running:
                raise self._failure(f"{self.name} ended with status {self._process and self._process.returncode}")
            self.require_hope()
            if time.monotonic() >= deadline:
                raise self._failure(f"{self.name} was not ready after {timeout_seconds:g} seconds")
            time.sleep(pause)
            pause = min(pause * 1.5, _SLOWEST_POLL_SECONDS)

    def require_hope(self) -> None:
        """Returns while it may still become ready; asked again and again while it is waited for.

        Raises:
            StackError: It runs, and said that it will not become ready by itself.
        """

    def ask_to_stop(self) -> None:
        """Sends SIGTERM and returns at once, so that several can end side by side; `stop` waits."""
        self._signal_group(signal.SIGTERM)

    def stop(self, grace_seconds: float = 10) -> None:
        """Asks the process to end (SIGTERM), and kills it if it has not after `grace_seconds`. Twice is once."""
        self.ask_to_stop()
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(grace_seconds)
        self.kill()

    def kill(self) -> None:
        """Kills the process (SIGKILL) and waits until it is gone. Twice is once."""
        self._signal_group(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def pause(self) -> None:
        """Freezes the process (SIGSTOP): its port accepts, nobody answers."""
        self._signal_group(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets a frozen process go on (SIGCONT)."""
        self._signal_group(signal.SIGCONT)

    def log_tail(self, lines: int = _TAIL_LINES) -> str:
        """Returns the last lines of the log; empty if there is none."""
        with contextlib.suppress(FileNotFoundError), self.log_file.open("rb") as log:
            log.seek(max(0, self.log_file.stat().st_size - _TAIL_BYTES))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])
        return ""

    def log_of_this_run(self) -> str:
        """Returns what it wrote since the last start."""
        with contextlib.suppress(FileNotFoundError), self.log_file.open("rb") as log:
            log.seek(self._log_begin)
            return log.read().decode(errors="replace")
        return ""

    def _signal_group(self, number: signal.Signals) -> None:
        if self.is_running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def _failure(self, what: str) -> StackError:
        return StackError(f"{what}.", f"Its log is {self.log_file}; it ends with:", self.log_tail() or "(nothing)")
