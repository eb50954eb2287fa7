"""Every method of every service asks for what its rule says, and lets in nobody else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor

from tests.support.stack import KeyedWorkspace, SharedStack
from tributary_attribution.servicer import AttributionServicer
from tributary_cli.stack.health import SERVICES
from tributary_dedup.servicer import DedupServicer
from tributary_delivery.servicer import DeliveryServicer
from tributary_ingestion.servicer import IngestionServicer
from tributary_query.servicer import QueryServicer
from tributary_runtime.interceptors import INTERNAL, Access
from tributary_runtime.workspaces import Scope

PUBLIC = ("ingestion", "query")
"""The services whose callers come from outside."""

RULES: Mapping[str, Mapping[str, Access]] = {
    "ingestion": IngestionServicer.rules,
    "dedup": DedupServicer.rules,
    "attribution": AttributionServicer.rules,
    "delivery": DeliveryServicer.rules,
    "query": QueryServicer.rules,
}


def methods() -> Iterator[tuple[str, MethodDescriptor]]:
    """Yields (service, method) of every contract."""
    for service in SERVICES:
        module: Any = import_module(f"tributary.{service}.v1.{service}_service_pb2")
        for descriptor in module.DESCRIPTOR.services_by_name.values():
            for method in descriptor.methods:
                yield service, method


EVERY = [pytest.param(service, method, id=f"{service}.{method.name}") for service, method in methods()]


def code_of(stack: SharedStack, service: str, method: MethodDescriptor, metadata: list[tuple[str, str]]) -> str:
    """Returns the code of a call with an empty request."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    with grpc.insecure_channel(stack.addresses[service]) as channel:
        try:
            if method.client_streaming:
                list(channel.stream_stream(path)(iter([b""]), timeout=60, metadata=metadata))
            elif method.server_streaming:
                next(iter(channel.unary_stream(path)(b"", timeout=60, metadata=metadata)))
            else:
                channel.unary_unary(path)(b"", timeout=60, metadata=metadata)
        except grpc.RpcError as error:
            call: grpc.Call = error  # type: ignore[assignment]  # what the stubs do not say: the error is the call
            return call.code().name
    return "OK"


def bearer(key: str) -> list[tuple[str, str]]:
    return [("authorization", f"Bearer {key}")]


@pytest.fixture(scope="module")
def keyed(stack: SharedStack) -> KeyedWorkspace:
    """The workspace whose keys are tried."""
    return stack.take_workspace()


@pytest.mark.parametrize(("service", "method"), EVERY)
def test_every_method_has_a_rule_of_its_kind(service: str, method: MethodDescriptor) -> None:
    access = RULES[service][method.name]
    assert isinstance(access, Scope) if service in PUBLIC else access is INTERNAL


def test_no_rule_is_for_a_method_that_does_not_exist() -> None:
    known = {(service, method.name) for service, method in methods()}
    assert {(service, name) for service, rules in RULES.items() for name in rules} == known


@pytest.mark.parametrize(("service", "method"), EVERY)
def test_nobody_gets_in_without_a_credential(stack: SharedStack, service: str, method: MethodDescriptor) -> None:
    assert code_of(stack, service, method, []) == "UNAUTHENTICATED"


@pytest.mark.parametrize(("service", "method"), EVERY)
def test_a_forged_credential_does_not_get_in(
    stack: SharedStack, keyed: KeyedWorkspace, service: str, method: MethodDescriptor
) -> None:
    forged = keyed.api_key[:-1] + ("0" if keyed.api_key[-1] != "0" else "1")
    assert code_of(stack, service, method, bearer(forged)) == "UNAUTHENTICATED"
    assert code_of(stack, service, method, [("tributary-internal", "guessed")]) == "UNAUTHENTICATED"


@pytest.mark.parametrize(("service", "method"), EVERY)
def test_a_key_gets_in_only_where_it_has_the_scope(
    stack: SharedStack, keyed: KeyedWorkspace, service: str, method: MethodDescriptor
) -> None:
    access = RULES[service][method.name]
    codes = {scope: code_of(stack, service, method, bearer(key)) for scope, key in keyed.scoped.items()}
    if access is INTERNAL:
        assert set(codes.values()) == {"UNAUTHENTICATED"}
        return
    assert isinstance(access, Scope)
    own = codes.pop(access.value)
    assert own not in {"UNAUTHENTICATED", "PERMISSION_DENIED"}
    assert set(codes.values()) == {"PERMISSION_DENIED"}
