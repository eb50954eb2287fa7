"""Who is calling: API keys, and the token that services show each other.

The one rule: the workspace comes from the credential, never from the request. An API key is `trb_<id>_<secret>`; we
know only the SHA-256 of the secret, which has 192 random bits, so a slow hash would protect nothing. Fails closed.
"""

import hashlib
import hmac
import secrets
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import date

from pydantic import SecretStr

from tributary_runtime.clock import Clock
from tributary_runtime.errors import PermissionDeniedError, UnauthenticatedError
from tributary_runtime.workspaces import Scope
from tributary_runtime.workspaces_file import WorkspacesFile

AUTHORIZATION = "authorization"
"""Metadata key of the API key: `Bearer trb_<id>_<secret>`."""

INTERNAL_TOKEN = "tributary-internal"  # noqa: S105 - a metadata key
"""Metadata key of the token that services show each other."""

_SCHEME = "bearer "
_PREFIX = "trb"
_NO_SECRET = "0" * 64
_MICROS_PER_DAY = 86_400_000_000
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling, as far as the credential proves it."""

    workspace_id: str
    """The only workspace this call may see or change."""
    key_id: str
    """Which API key; shown in logs."""
    scopes: frozenset[Scope]
    """What the key may do."""

    def require(self, scope: Scope) -> None:
        """Refuses a caller without a scope.

        Raises:
            PermissionDeniedError: The key lacks it.
        """
        if scope not in self.scopes:
            message = f"This API key lacks the scope {scope.value}; use another key or add the scope to it."
            raise PermissionDeniedError(message, metadata={"key": self.key_id, "scope": scope.value})


_caller: ContextVar[Caller | None] = ContextVar("caller", default=None)


def current_caller() -> Caller:
    """Returns who makes the call being handled.

    Raises:
        UnauthenticatedError: Nobody was authenticated: the method is internal or public.
    """
    caller = _caller.get()
    if caller is None:
        raise UnauthenticatedError("This call needs an API key.", reason="API_KEY_MISSING")
    return caller


def workspace_of_call() -> str:
    """Returns the workspace of the call being handled; empty where no API key was asked for."""
    caller = _caller.get()
    return "" if caller is None else caller.workspace_id


def set_caller(caller: Caller) -> None:
    """Remembers who makes the call being handled; called by the interceptor, and by tests of servicers."""
    _caller.set(caller)


@dataclass(frozen=True, slots=True)
class NewKey:
    """An API key just made. The secret is shown once and kept nowhere."""

    id: str
    """Goes into `api_keys[].id`."""
    sha256: str
    """Goes into `api_keys[].sha256`."""
    key: SecretStr
    """The whole key, `trb_<id>_<secret>`, for the caller."""


def new_key(key_id: str = "") -> NewKey:
    """Makes an API key.

    Args:
        key_id: 4 to 32 lower-case letters, digits and dashes; empty: a random one.
    """
    key_id = key_id or secrets.token_hex(6)
    secret = secrets.token_hex(24)
    return NewKey(key_id, hashlib.sha256(secret.encode()).hexdigest(), SecretStr(f"{_PREFIX}_{key_id}_{secret}"))


class Authenticator:
    """Turns credentials into callers.

    Args:
        workspaces: Whose keys are known; read anew for each call, so a removed key stops working at once.
        clock: For keys that expire.
    """

    def __init__(self, workspaces: WorkspacesFile, clock: Clock) -> None:
        self._workspaces = workspaces
        self._clock = clock
        self._known_for: object = None
        self._callers: dict[str, Caller] = {}

    def authenticate(self, authorization: str) -> Caller:
        """Returns who shows this credential.

        Args:
            authorization: Value of the metadata `authorization`; empty if there was none.

        Raises:
            UnauthenticatedError: No key, not one of ours, or expired. Which of the latter two is not told.
        """
        if not authorization:
            message = "Send an API key as metadata: authorization: Bearer trb_<id>_<secret>."
            raise UnauthenticatedError(message, reason="API_KEY_MISSING")
        key_id, secret = _parse(authorization)
        current = self._workspaces.current
        workspace, key = current.by_key_id.get(key_id, (None, None))
        expected = key.sha256 if key is not None else _NO_SECRET
        given = hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
        is_right = hmac.compare_digest(given, expected)
        if workspace is None or key is None or not is_right or self._has_expired(key.expires_on):
            raise UnauthenticatedError("This API key is not valid; make one with `tributary keys create`.")
        if self._known_for is not current:
            self._known_for, self._callers = current, {}
        caller = self._callers.get(key_id)
        if caller is None:
            caller = self._callers[key_id] = Caller(workspace.id, key.id, frozenset(key.scopes))
        return caller

    def _has_expired(self, expires_on: date | None) -> bool:
        if expires_on is None:
            return False
        today = self._clock.unix_micros() // _MICROS_PER_DAY + _EPOCH_ORDINAL
        return today > expires_on.toordinal()


def _parse(authorization: str) -> tuple[str, str]:
    credential = authorization[len(_SCHEME) :] if authorization[: len(_SCHEME)].lower() == _SCHEME else authorization
    prefix, _, rest = credential.strip().partition("_")
    key_id, _, secret = rest.partition("_")
    if prefix != _PREFIX or not key_id or not secret:
        raise UnauthenticatedError("An API key looks like trb_<id>_<secret>.", reason="API_KEY_MALFORMED")
    return key_id, secret


class InternalDoor:
    """Lets in who shows the token that all services share.

    Args:
        token: The setting INTERNAL_TOKEN.
    """

    def __init__(self, token: SecretStr) -> None:
        self._token = token.get_secret_value().encode()

    def check(self, token: str | bytes) -> None:
        """Refuses whoever does not know the token.

        Raises:
            UnauthenticatedError: Another token, or none.
        """
        given = token if isinstance(token, bytes) else token.encode("utf-8", "surrogatepass")
        if not hmac.compare_digest(given, self._token):
            message = "Only Tributary's own services may call this; all need the same TRIBUTARY_INTERNAL_TOKEN."
            raise UnauthenticatedError(message, reason="INTERNAL_TOKEN_INVALID")
