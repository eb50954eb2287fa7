"""The workspace comes from the credential, never from the request."""

from __future__ import annotations

import ast
import hashlib
import inspect
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from pydantic import SecretStr

from tests.unit.runtime.conftest import Keys
from tributary_runtime import authentication
from tributary_runtime.authentication import Authenticator, Caller, InternalDoor, current_caller, new_key
from tributary_runtime.clock import SystemClock
from tributary_runtime.errors import PermissionDeniedError, UnauthenticatedError
from tributary_runtime.workspaces import Scope
from tributary_runtime.workspaces_file import WorkspacesFile


def bearer(key: SecretStr) -> str:
    return f"Bearer {key.get_secret_value()}"


@pytest.fixture
def authenticator(workspaces_file: WorkspacesFile) -> Authenticator:
    return Authenticator(workspaces_file, SystemClock())


def test_a_key_opens_its_own_workspace(authenticator: Authenticator, keys: Keys) -> None:
    caller = authenticator.authenticate(bearer(keys.ingest.key))
    assert caller == Caller("shop", keys.ingest.id, frozenset({Scope.INGEST}))
    assert authenticator.authenticate(bearer(keys.other.key)).workspace_id == "blog"


def test_the_word_bearer_may_be_written_as_one_likes(authenticator: Authenticator, keys: Keys) -> None:
    key = keys.query.key.get_secret_value()
    assert authenticator.authenticate(f"bearer {key}") == authenticator.authenticate(key)


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        pytest.param("", "API_KEY_MISSING", id="none"),
        pytest.param("Bearer hello", "API_KEY_MALFORMED", id="no key"),
        pytest.param("Bearer trb_analysts", "API_KEY_MALFORMED", id="no secret"),
        pytest.param("Basic dXNlcjpwdw==", "API_KEY_MALFORMED", id="another scheme"),
        pytest.param("Bearer trb_analysts_wrong", "API_KEY_INVALID", id="wrong secret"),
        pytest.param("Bearer trb_nobody_secret", "API_KEY_INVALID", id="unknown id"),
        pytest.param("Bearer trb_analysts_\udc80", "API_KEY_INVALID", id="no text"),
    ],
)
def test_a_wrong_credential_is_refused(authenticator: Authenticator, authorization: str, reason: str) -> None:
    with pytest.raises(UnauthenticatedError) as refusal:
        authenticator.authenticate(authorization)
    assert refusal.value.reason == reason


def test_an_expired_key_looks_like_an_unknown_one(authenticator: Authenticator, keys: Keys) -> None:
    with pytest.raises(UnauthenticatedError) as expired:
        authenticator.authenticate(bearer(keys.expired.key))
    with pytest.raises(UnauthenticatedError) as unknown:
        authenticator.authenticate(bearer(new_key().key))
    assert (expired.value.message, expired.value.reason) == (unknown.value.message, unknown.value.reason)


class FrozenClock(SystemClock):
    def __init__(self, now: datetime) -> None:
        self._now = now

    def unix_micros(self) -> int:
        return int(self._now.timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("now", "is_valid"),
    [
        pytest.param(datetime(2999, 12, 31, 23, 59, 59, tzinfo=UTC), True, id="last second"),
        pytest.param(datetime(3000, 1, 1, tzinfo=UTC), False, id="next day"),
    ],
)
def test_a_key_is_valid_through_its_last_day(
    workspaces_file: WorkspacesFile, keys: Keys, now: datetime, is_valid: bool
) -> None:
    authenticator = Authenticator(workspaces_file, FrozenClock(now))
    if is_valid:
        assert authenticator.authenticate(bearer(keys.query.key)).workspace_id == "shop"
    else:
        with pytest.raises(UnauthenticatedError):
            authenticator.authenticate(bearer(keys.query.key))


def test_a_key_taken_out_of_the_file_stops_working(tmp_path: Path, keys: Keys, authenticator: Authenticator) -> None:
    authenticator.authenticate(bearer(keys.ingest.key))
    path = tmp_path / "workspaces.yaml"
    content = yaml.safe_load(path.read_text())
    content["workspaces"][0]["api_keys"].pop(0)
    path.write_text(yaml.safe_dump(content))
    authenticator._workspaces.reload_if_changed()
    with pytest.raises(UnauthenticatedError):
        authenticator.authenticate(bearer(keys.ingest.key))


def test_a_caller_without_the_scope_is_told_which_one_is_missing() -> None:
    with pytest.raises(PermissionDeniedError) as refusal:
        Caller("shop", "k", frozenset({Scope.INGEST})).require(Scope.BACKFILL)
    assert refusal.value.metadata == {"key": "k", "scope": "backfill"}


def test_outside_of_an_authenticated_call_there_is_no_caller() -> None:
    with pytest.raises(UnauthenticatedError):
        current_caller()


def test_a_new_key_keeps_only_the_hash_of_its_secret() -> None:
    key = new_key("analysts")
    secret = key.key.get_secret_value().removeprefix("trb_analysts_")
    assert key.sha256 == hashlib.sha256(secret.encode()).hexdigest()
    assert secret not in repr(key)


def test_no_two_keys_are_alike() -> None:
    assert len({new_key().key.get_secret_value() for _ in range(100)}) == 100


@pytest.mark.parametrize("token", ["", "wrong", b"\xff", "a-token-of-the-service"])
def test_a_stranger_does_not_pass_for_a_service(token: str | bytes) -> None:
    with pytest.raises(UnauthenticatedError):
        InternalDoor(SecretStr("a-token-of-the-services")).check(token)


def test_the_token_opens_the_internal_door() -> None:
    InternalDoor(SecretStr("a-token-of-the-services")).check("a-token-of-the-services")


def test_two_keys_live_at_once_so_that_one_can_replace_the_other(
    tmp_path: Path, keys: Keys, authenticator: Authenticator
) -> None:
    successor, path = new_key(), tmp_path / "workspaces.yaml"
    content = yaml.safe_load(path.read_text())
    own = content["workspaces"][0]["api_keys"]
    own.append({"id": successor.id, "sha256": successor.sha256, "scopes": ["ingest"]})
    path.write_text(yaml.safe_dump(content))
    authenticator._workspaces.reload_if_changed()
    for key in (keys.ingest, successor):
        assert authenticator.authenticate(bearer(key.key)).workspace_id == "shop"
    content["workspaces"][0]["api_keys"] = [one for one in own if one["id"] != keys.ingest.id]
    path.write_text(yaml.safe_dump(content))
    authenticator._workspaces.reload_if_changed()
    assert authenticator.authenticate(bearer(successor.key)).workspace_id == "shop"
    with pytest.raises(UnauthenticatedError):
        authenticator.authenticate(bearer(keys.ingest.key))


def test_secrets_are_compared_in_constant_time_only() -> None:
    source = inspect.getsource(authentication)
    assert source.count("hmac.compare_digest(") == 2
    compared = [ast.unparse(node) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Compare)]
    assert [one for one in compared if re.search(r"sha256|given|expected|self._token", one)] == []
