"""What an application asks a token endpoint for, and what it is answered (RFC 6749, sections 4.4, 5 and 6; RFC 7523).

The one rule: an answer is told by its status and its error code alone; what else it says may hold a secret.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote_plus, urlencode

import httpx

from tributary_delivery.destinations.destination import CONFIG, RETRY, Outcome
from tributary_delivery.destinations.tokens import TokenError
from tributary_domain.jwt_assertions import SigningKey
from tributary_runtime.batch_destinations import BatchDestination
from tributary_runtime.declared_urls import check_url
from tributary_runtime.oauth_settings import OAuth, OAuthGrant

_SERVER_ERROR: Final = 500
_LATER: Final = frozenset({408, 429})
_PASSING: Final = frozenset({"temporarily_unavailable", "server_error", "slow_down"})
_CODE: Final = re.compile(r"[a-zA-Z_]{1,64}")
_USUAL_LIFE_SECONDS: Final = 3600.0
_JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@dataclass(frozen=True, slots=True)
class Obtained:
    """What a token endpoint gave out."""

    access_token: str
    life_seconds: float
    refresh_token: str = ""
    """Another one, to be used from now on; "": the one that was used holds on."""
    home: str = ""
    """Where the API is; "": where the settings say."""

    def __repr__(self) -> str:
        """Shows no token."""
        return "Obtained(...)"


class TokenRequests:
    """Says what one application asks for.

    Args:
        oauth: The application.
        settings: Of the destination.
        token_url: Where it asks.
    """

    def __init__(self, oauth: OAuth, settings: BatchDestination, token_url: str) -> None:
        self._oauth = oauth
        self._allow_http = settings.allow_private_addresses
        self._names_home = settings.names_home
        self._audience = oauth.audience or token_url
        self._scope = oauth.scope or settings.grants.get(oauth.grant, "")
        wanted = "basic" if settings.authenticates_basic else "body"
        self._is_basic = (oauth.client_authentication or wanted) == "basic"
        self._key = SigningKey(oauth.private_key.reveal()) if oauth.private_key is not None else None

    def ask(self, refresh_token: str, now_seconds: int) -> tuple[bytes, dict[str, str]]:
        """Returns a request's body and headers.

        Args:
            refresh_token: To be used where tokens are obtained with one.
            now_seconds: Unix.
        """
        oauth, headers = self._oauth, {"content-type": "application/x-www-form-urlencoded"}
        client_id = oauth.client_id.reveal()
        form = {"scope": self._scope} if self._scope else {}
        if self._key is not None:
            scope, subject = form.pop("scope", ""), oauth.subject
            signed = self._key.sign(client_id, self._audience, now_seconds, subject=subject, scope=scope)
            return urlencode({"grant_type": _JWT_BEARER, "assertion": signed}).encode(), headers
        form["grant_type"] = oauth.grant.value
        if oauth.grant is OAuthGrant.REFRESH_TOKEN:
            form["refresh_token"] = refresh_token
        secret = oauth.client_secret.reveal() if oauth.client_secret is not None else ""
        if self._is_basic:
            pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
            headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form["client_id"] = client_id
            if secret:
                form["client_secret"] = secret
        return urlencode(form).encode(), headers

    def read(self, status: int, content: bytes) -> Obtained:
        """Returns what was given out.

        Raises:
            TokenError: Nothing was.
        """
        said = _parsed(content)
        code = str(said.get("error") or "")
        why = f"No token: HTTP {status}{f', {code}' if _CODE.fullmatch(code) else ''}."
        if status >= _SERVER_ERROR or status in _LATER or code in _PASSING:
            raise TokenError(Outcome(RETRY, message=why, is_untaken=True))
        token = said.get("access_token")
        if status != httpx.codes.OK or not isinstance(token, str) or not token:
            raise TokenError(Outcome(CONFIG, message=why, is_untaken=True))
        refresh_token = said.get("refresh_token")
        return Obtained(
            token,
            _seconds(said.get("expires_in")),
            refresh_token if isinstance(refresh_token, str) else "",
            self._home(said.get("instance_url")) if self._names_home else "",
        )

    def _home(self, url: Any) -> str:
        """Returns where the API is: an origin that may be called, and nothing behind it."""
        if not isinstance(url, str) or not url:
            return ""
        try:
            check_url("instance_url", url, allow_http=self._allow_http)
        except ValueError as error:
            why = f"No token: it came with an address that is not called: {error}."
            raise TokenError(Outcome(CONFIG, message=why, is_untaken=True)) from None
        parts = httpx.URL(url)
        return str(parts.copy_with(raw_path=b"/", fragment=None)).rstrip("/")


def _seconds(life: Any) -> float:
    """Returns how long a token holds; some say it as a text."""
    try:
        seconds = float(life)
    except (TypeError, ValueError):
        return _USUAL_LIFE_SECONDS
    return seconds if 0 < seconds < 1e9 else _USUAL_LIFE_SECONDS


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        said = json.loads(content)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
