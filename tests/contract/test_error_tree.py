"""The error tree is what its docstring draws, and each error tells what it promises."""

from __future__ import annotations

import re

import grpc
import pytest
from google.rpc import error_details_pb2

from tributary_runtime import errors
from tributary_runtime.errors import (
    DestinationUnavailableError,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    PartOutageError,
    PermissionDeniedError,
    PreconditionError,
    RevisionMovedError,
    StorageUnavailableError,
    TributaryError,
    UnauthenticatedError,
    UnavailableError,
    WorkerDecision,
)

EXAMPLES: list[TributaryError] = [
    TributaryError("m"),
    InvalidRequestError("m"),
    UnauthenticatedError("m"),
    PermissionDeniedError("m"),
    NotFoundError("m", resource_type="conversion", resource_name="c1:x"),
    RevisionMovedError("m"),
    PreconditionError("m"),
    OverloadedError("m"),
    UnavailableError("m"),
    StorageUnavailableError("m"),
    PartOutageError("m"),
    DestinationUnavailableError("m"),
]
DRAWN = re.findall(r"^  ?(?:\* |x |  \+ )(\w+Error)\s+([A-Z_]+)(?:\s+\+ (\w+))?", errors.__doc__ or "", re.MULTILINE)
DRAWN += re.findall(r"^\* (\w+Error)\s+([A-Z_]+)()", errors.__doc__ or "", re.MULTILINE)


def example_of(name: str) -> TributaryError:
    return next(error for error in EXAMPLES if type(error).__name__ == name)


def public(base: type) -> set[str]:
    found = {name for sub in base.__subclasses__() for name in public(sub)}
    return found if base.__name__.startswith("_") else found | {base.__name__}


def test_every_error_is_in_the_drawing_and_nothing_else() -> None:
    here = {name for name in public(TributaryError) if hasattr(errors, name)}
    drawn = set(re.findall(r"\b\w+Error\b", errors.__doc__ or ""))
    assert drawn == here


def test_every_error_has_an_example_here() -> None:
    assert {type(error).__name__ for error in EXAMPLES} == {
        name for name in public(TributaryError) if hasattr(errors, name)
    }


@pytest.mark.parametrize(("name", "code", "detail"), DRAWN, ids=[name for name, _, _ in DRAWN])
def test_an_error_has_the_code_and_the_detail_that_are_drawn(name: str, code: str, detail: str) -> None:
    status = example_of(name).status()
    assert status.code == grpc.StatusCode[code].value[0]
    others = [one for one in status.details if not one.Is(error_details_pb2.ErrorInfo.DESCRIPTOR)]
    assert [one.TypeName() for one in others] == ([f"google.rpc.{detail}"] if detail else [])


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_a_status_has_exactly_one_error_info_of_our_domain(error: TributaryError) -> None:
    infos = [one for one in error.status().details if one.Is(error_details_pb2.ErrorInfo.DESCRIPTOR)]
    (packed,) = infos
    info = error_details_pb2.ErrorInfo()
    packed.Unpack(info)
    assert info.domain == "tributary"
    assert re.fullmatch(r"[A-Z][A-Z0-9_]+[A-Z0-9]", info.reason)  # as google.rpc.ErrorInfo asks


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_the_error_info_comes_first(error: TributaryError) -> None:
    assert error.status().details[0].Is(error_details_pb2.ErrorInfo.DESCRIPTOR)


def test_a_quota_is_named_where_one_decided() -> None:
    status = OverloadedError("m", quota_subject="workspace:shop").status()
    assert [one.TypeName() for one in status.details[1:]] == ["google.rpc.RetryInfo", "google.rpc.QuotaFailure"]


def test_worker_decisions_never_go_on_the_wire() -> None:
    assert not issubclass(WorkerDecision, TributaryError)
    assert public(WorkerDecision) == {"WorkerDecision", "Backpressure", "PoisonEvent", "Unfinished"}
