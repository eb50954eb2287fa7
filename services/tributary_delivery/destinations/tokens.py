"""Access tokens: as the file says them, or obtained with a refresh token (RFC 6749, section 6) until they expire.

The one rule: a token is never in a message, a log line or a `repr`.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from typing import Any, Final, Protocol

import httpx

from tributary_delivery.destinations.destination import CONFIG, RETRY, Outcome
from tributary_delivery.destinations.unanswered import UNANSWERED, unanswered
from tributary_runtime.batch_destinations import OAuthRefresh
from tributary_runtime.checked_http import CheckedHttp, read_body
from tributary_runtime.clock import Clock
from tributary_runtime.public_addresses import Lookup
from tributary_runtime.secret_references import SecretReference

_EARLY_SECONDS: Final = 120.0
"""How long before its end a token is renewed."""
_USUAL_LIFE_SECONDS: Final = 3600.0
_MOST_BYTES: Final = 65_536
_SERVER_ERROR: Final = 500
_LATER: Final = frozenset({408, 429})


class TokenError(Exception):
    """There is no access token now.

    Args:
        outcome: What that makes of what was to be sent.
    """

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.message)
        self.outcome = outcome


class Tokens(Protocol):
    """Where access tokens come from."""

    async def get(self) -> str:
        """Returns the one to be used now.

        Raises:
            TokenError: There is none.
        """
        ...

    def refuse(self, token: str) -> bool:
        """Takes note that the destination refused a token; returns whether another can be had."""
        ...

    async def aclose(self) -> None:
        """Closes its connections."""
        ...


class GivenToken:
    """A token that somebody else renews, in the file or where it refers to.

    Args:
        secret: Where it is.
    """

    def __init__(self, secret: SecretReference) -> None:
        self._secret = secret

    async def get(self) -> str:
        """Returns it."""
        try:
            return self._secret.reveal()
        except ValueError as error:
            raise TokenError(Outcome(CONFIG, message="The access token cannot be read.", is_untaken=True)) from error

    def refuse(self, token: str) -> bool:
        """Tells that there is no other: when there is, the lane begins anew."""
        del token
        return False

    async def aclose(self) -> None:
        """Has none."""


class RefreshedToken:
    """Tokens that are obtained with a refresh token.

    Args:
        oauth: Whose.
        token_url: Where, unless `oauth` says.
        call_seconds: How long asking may take.
        clock: Tells when a token expires.
        allow_private: Whether any address will do.
        tls: How certificates are checked.
        lookup: Asks the name server; the system's unless given.
    """

    def __init__(
        self,
        oauth: OAuthRefresh,
        token_url: str,
        *,
        call_seconds: float,
        clock: Clock,
        allow_private: bool,
        tls: ssl.SSLContext | None = None,
        lookup: Lookup | None = None,
    ) -> None:
        self._oauth = oauth
        self._url = httpx.URL(oauth.token_url or token_url)
        self._call_seconds = call_seconds
        self._clock = clock
        self._http = CheckedHttp(
            self._url,
            call_seconds=call_seconds,
            allow_private=allow_private,
            agent="Tributary/1",
            tls=tls,
            lookup=lookup,
        )
        self._asking = asyncio.Lock()
        self._token = ""
        self._until_seconds = 0.0

    async def get(self) -> str:
        """Returns a token that holds for a while; asks for one where there is none."""
        async with self._asking:
            if not self._token or self._clock.monotonic_seconds() >= self._until_seconds:
                await self._ask()
            return self._token

    def refuse(self, token: str) -> bool:
        """Forgets a token, unless another was obtained meanwhile; another can be had."""
        if token == self._token:
            self._token = ""
        return True

    async def aclose(self) -> None:
        """Closes its connections."""
        await self._http.aclose()

    async def _ask(self) -> None:
        oauth = self._oauth
        form = {
            "grant_type": "refresh_token",
            "client_id": oauth.client_id.reveal(),
            "client_secret": oauth.client_secret.reveal(),
            "refresh_token": oauth.refresh_token.reveal(),
        }
        body = str(httpx.QueryParams(form)).encode()
        try:
            async with asyncio.timeout(self._call_seconds):
                headers = {"content-type": "application/x-www-form-urlencoded"}
                answer = await self._http.post(self._url, body, headers)
                content = await read_body(answer, _MOST_BYTES)
        except UNANSWERED as error:
            why = unanswered(error)
            raise TokenError(Outcome(why.outcome, message=f"No token: {why.message}", is_untaken=True)) from None
        said = _parsed(content)
        token = said.get("access_token") if isinstance(said, dict) else None
        if answer.status_code >= _SERVER_ERROR or answer.status_code in _LATER:
            raise TokenError(Outcome(RETRY, message=f"No token: HTTP {answer.status_code}.", is_untaken=True))
        if answer.status_code != httpx.codes.OK or not isinstance(token, str) or not token:
            raise TokenError(Outcome(CONFIG, message=f"No token: HTTP {answer.status_code}.", is_untaken=True))
        life = said.get("expires_in")
        seconds = float(life) if isinstance(life, int | float) and life > 0 else _USUAL_LIFE_SECONDS
        self._token = token
        self._until_seconds = self._clock.monotonic_seconds() + max(seconds / 2, seconds - _EARLY_SECONDS)


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None
