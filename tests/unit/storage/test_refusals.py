"""What waiting can mend is an outage; what Redis refuses for good is a bug."""

from __future__ import annotations

import pytest
import redis
from redis._parsers.base import BaseParser
from redis.exceptions import BusyLoadingError, DataError

from tributary_runtime.errors import StorageUnavailableError
from tributary_runtime.worker import OUTAGES
from tributary_storage.redis.refusals import CommandRefusedError, translate

PASSING = [
    "OOM command not allowed when used memory > 'maxmemory'. script: 3f2a, on @user_script:1.",
    "ERR Error running script (call to f_3f2a): @user_script:7: @user_script: 7: -OOM command not allowed",
    "ERR Error running script (call to f_3f2a): @user_script:7: @user_script: 7: -READONLY You can't write",
    "LOADING Redis is loading the dataset in memory",
    "READONLY You can't write against a read only replica. script: 3f2a, on @user_script:1.",
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "CLUSTERDOWN The cluster is down",
    "TRYAGAIN Multiple keys request during rehashing of slot",
    "MOVED 3999 127.0.0.1:6381",
    "ASK 3999 127.0.0.1:6381",
    "MISCONF Errors writing to the AOF file: No space left on device",
    "NOREPLICAS Not enough good replicas to write.",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "NOPERM this user has no permissions to run the 'evalsha' command",
    "NOAUTH Authentication required.",
    "NOSCRIPT No matching script. Please use EVAL.",
    "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
    "ERR max number of clients reached",
]
REFUSED = [
    "ERR user_script:38: too many results to unpack script: 3f2a, on @user_script:38.",
    "ERR Error running script (call to f_3f2a): @user_script:38: user_script:38: too many results to unpack",
    "WRONGTYPE Operation against a key holding the wrong kind of value script: 3f2a, on @user_script:1.",
    "CROSSSLOT Keys in request don't hash to the same slot",
    "ERR Protocol error: invalid multibulk length",
    "ERR value is not an integer or out of range",
]


@pytest.mark.parametrize("text", PASSING)
def test_what_waiting_can_mend_is_an_outage(text: str) -> None:
    error = translate(BaseParser.parse_error(text), "state", "Try again.")
    assert isinstance(error, StorageUnavailableError)
    assert (error.message, error.metadata) == ("Try again.", {"store": "state"})


@pytest.mark.parametrize("text", REFUSED)
def test_what_redis_refuses_for_good_is_a_bug_and_no_outage(text: str) -> None:
    error = translate(BaseParser.parse_error(text), "state", "Try again.")
    assert isinstance(error, CommandRefusedError)
    assert not isinstance(error, OUTAGES)


@pytest.mark.parametrize("error", [redis.ConnectionError("reset"), redis.TimeoutError(), BusyLoadingError("loading")])
def test_silence_is_an_outage(error: redis.RedisError) -> None:
    assert isinstance(translate(error, "log", "Try again."), StorageUnavailableError)


def test_what_cannot_even_be_sent_is_a_bug() -> None:
    assert isinstance(translate(DataError("Invalid input of type: 'NoneType'"), "jobs", ""), CommandRefusedError)
