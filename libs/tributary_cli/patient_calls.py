"""Calls that are safe to repeat, made again while what keeps them from an answer may pass by itself."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

import grpc

from tributary_cli.errors import CommandError
from tributary_cli.rpc import explain_call
from tributary_client import RetryPolicy
from tributary_client.outcome import Remedy
from tributary_client.transport import of_error

_Answer = TypeVar("_Answer")


def call_patiently(
    call: Callable[[], _Answer], target: str, patience_seconds: float, waits: Callable[[float, str], None]
) -> _Answer:
    """Makes a call until it is answered, never before the server wants it again.

    Args:
        call: Makes one attempt.
        target: Whom it calls.
        patience_seconds: From the first attempt to the last.
        waits: Told before each pause how many seconds it takes, and why.

    Raises:
        CommandError: Repeating cannot help, or there was no answer in time.
    """
    retry = RetryPolicy(total_seconds=patience_seconds)
    end_time = time.monotonic() + retry.total_seconds
    attempt = 0
    while True:
        attempt += 1
        try:
            return call()
        except grpc.RpcError as error:
            failed = of_error(error)
            explained = explain_call(error, target)
            if failed.remedy is not Remedy.AGAIN:
                raise explained from error
            pause = retry.delay_seconds(attempt, failed.retry_after_seconds, random.SystemRandom())
            if not time.monotonic() + pause < end_time:  # a patience that is no number is none
                raise _overdue(explained, patience_seconds, failed.retry_after_seconds) from error
        waits(pause, explained.message)
        time.sleep(pause)


def _overdue(explained: CommandError, patience_seconds: float, asked_seconds: float) -> CommandError:
    """Adds to a failure that may pass how long it was waited for, and how it goes on."""
    asked = f" It wants to be left alone for {asked_seconds:,.1f} s." if asked_seconds else ""
    waited = f"No answer within {patience_seconds:g} s of --patience.{asked} The same again is safe."
    explained.next_step = " ".join(part for part in (explained.next_step, waited) if part)
    return explained
