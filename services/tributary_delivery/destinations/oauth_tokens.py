"""Access tokens that are obtained, and obtained anew before they expire.

The one rule: one process at a time asks for a token with a refresh token, and what it got is kept, sealed, before it is
used. Where each answer brings another refresh token, the one before is worth nothing, or betrays a theft.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import ssl
from dataclasses import asdict, dataclass
from typing import Final, Protocol

import httpx
import structlog

from tributary_delivery.destinations.destination import CONFIG, RETRY, Outcome
from tributary_delivery.destinations.token_requests import Obtained, TokenRequests
from tributary_delivery.destinations.tokens import TokenError
from tributary_delivery.destinations.unanswered import UNANSWERED, unanswered
from tributary_domain.sealed_tokens import NONCE_BYTES, TokenSeal
from tributary_runtime.batch_destinations import BatchDestination
from tributary_runtime.checked_http import CheckedHttp, read_body
from tributary_runtime.clock import Clock
from tributary_runtime.errors import UnavailableError
from tributary_runtime.oauth_settings import OAuth
from tributary_runtime.public_addresses import Lookup

log = structlog.get_logger(__name__)

_EARLY_SECONDS: Final = 120.0
"""How long before its end a token is renewed."""
_MOST_BYTES: Final = 65_536
_LOOK_SECONDS: Final = 0.1
_MARGIN_SECONDS: Final = 5.0
"""How much longer than a call may take nobody else asks."""


class TokenStore(Protocol):
    """Where tokens are shared. Raises `StorageUnavailableError` if it does not answer."""

    async def read(self, credential: str) -> bytes | None:
        """Returns what is kept of a credential."""
        ...

    async def write(self, credential: str, sealed: bytes) -> None:
        """Keeps it. May run twice."""
        ...

    async def lease(self, credential: str, holder: str, seconds: float) -> bool:
        """Tells whether this process asks from now on."""
        ...

    async def release(self, credential: str, holder: str) -> None:
        """Lets another process ask at once."""
        ...


@dataclass(frozen=True, slots=True, repr=False)
class Held:
    """Tokens as they are used and kept."""

    access_token: str = ""
    until_micros: int = 0
    """Until when it is used."""
    refresh_token: str = ""
    """The one that came last; empty: the one of the file."""
    home: str = ""


class ObtainedToken:
    """The tokens of one application.

    Args:
        oauth: The application.
        settings: Of the destination.
        token_url: Where it asks, unless `oauth` says.
        store: Where what came of a refresh token is shared; None: this process is alone.
        call_seconds: How long asking may take.
        clock: Tells when a token expires.
        tls: How certificates are checked.
        lookup: Asks the name server; the system's unless given.
    """

    def __init__(
        self,
        oauth: OAuth,
        settings: BatchDestination,
        token_url: str,
        store: TokenStore | None,
        *,
        call_seconds: float,
        clock: Clock,
        tls: ssl.SSLContext | None = None,
        lookup: Lookup | None = None,
    ) -> None:
        self._oauth = oauth
        self._url = httpx.URL(oauth.token_url or token_url)
        self._requests = TokenRequests(oauth, settings, str(self._url))
        self._store = store if oauth.refresh_token is not None else None
        self._call_seconds = call_seconds
        self._clock = clock
        self._http = CheckedHttp(
            self._url,
            call_seconds=call_seconds,
            allow_private=settings.allow_private_addresses,
            agent="Tributary/1",
            tls=tls,
            lookup=lookup,
        )
        self._given = oauth.refresh_token.reveal() if oauth.refresh_token is not None else ""
        # Not of the application's secret: that is changed now and then, and the refresh token holds on.
        self._seal = TokenSeal(str(self._url), oauth.client_id.reveal(), self._given)
        self._asking: asyncio.Task[None] | None = None
        self._held = Held()
        self._is_kept = True
        self._refused = ""

    @property
    def home(self) -> str:
        """Where the API is that the token is for; "": where the settings say."""
        return self._held.home

    async def get(self) -> str:
        """Returns a token that holds for a while; asks for one where there is none, once for all who want it now.

        Who gives up waiting ends nothing: the answer may bring the only refresh token that holds from then on.
        """
        if not (self._is_kept and self._is_usable(self._held)):
            if self._asking is None or self._asking.done():
                self._asking = asyncio.create_task(self._renewed())
            await asyncio.shield(self._asking)
        return self._held.access_token

    def refuse(self, token: str) -> bool:
        """Forgets a token, unless another was obtained meanwhile; another can be had."""
        self._refused = token
        return True

    async def aclose(self) -> None:
        """Closes its connections."""
        if self._asking is not None:
            await asyncio.gather(self._asking, return_exceptions=True)
        await self._http.aclose()

    async def _renewed(self) -> None:
        try:
            if not self._is_kept:
                await self._keep()
            if not self._is_usable(self._held):
                await self._obtain()
        except UnavailableError as outage:
            raise TokenError(Outcome(RETRY, message=f"No token: {outage.message}", is_untaken=True)) from outage

    def _is_usable(self, held: Held) -> bool:
        is_fresh = self._clock.unix_micros() < held.until_micros
        return is_fresh and held.access_token not in ("", self._refused)

    async def _obtain(self) -> None:
        """Takes the token that another process obtained, or asks for one as the only one who does."""
        if self._store is None:
            self._held = await self._ask(Held())
            return
        holder, name = secrets.token_hex(8), self._seal.name
        ends = self._clock.monotonic_seconds() + self._call_seconds
        while not await self._store.lease(name, holder, self._call_seconds + _MARGIN_SECONDS):
            self._held = await self._read()
            if self._is_usable(self._held):
                return
            if self._clock.monotonic_seconds() > ends:
                why = "No token: another process was asking for one and got none in time."
                raise TokenError(Outcome(RETRY, message=why, is_untaken=True))
            await asyncio.sleep(_LOOK_SECONDS)
        try:
            self._held = await self._read()
            if not self._is_usable(self._held):
                self._held = await self._renew(self._held)
                await self._keep()
        finally:
            await self._release(holder)

    async def _renew(self, held: Held) -> Held:
        """Asks with the refresh token that came last; where that is worth nothing, with the one of the file."""
        try:
            return await self._ask(held)
        except TokenError as error:
            if not held.refresh_token or error.outcome.outcome != CONFIG:
                raise
            log.warning("kept_refresh_token_refused", reason=error.outcome.message)
            return await self._ask(Held())

    async def _ask(self, held: Held) -> Held:
        now_micros = self._clock.unix_micros()
        body, headers = self._requests.ask(held.refresh_token or self._given, now_micros // 1_000_000)
        try:
            async with asyncio.timeout(self._call_seconds):
                answer = await self._http.post(self._url, body, headers)
                content = await read_body(answer, _MOST_BYTES)
        except UNANSWERED as error:
            why = unanswered(error)
            raise TokenError(Outcome(why.outcome, message=f"No token: {why.message}", is_untaken=True)) from None
        got: Obtained = self._requests.read(answer.status_code, content)
        seconds = max(got.life_seconds / 2, got.life_seconds - _EARLY_SECONDS)
        refresh_token = got.refresh_token or held.refresh_token
        kept = refresh_token if refresh_token != self._given else ""
        return Held(got.access_token, now_micros + round(seconds * 1e6), kept, got.home)

    async def _read(self) -> Held:
        """Returns what is shared; nothing of a token that this process has and could not share."""
        sealed = await self._store.read(self._seal.name) if self._store is not None else None
        plain = self._seal.open(sealed) if sealed is not None else None
        try:
            return self._held if plain is None else Held(**json.loads(plain))
        except (TypeError, ValueError):  # another release kept it
            return self._held

    async def _keep(self) -> None:
        """Shares what this process has; it is tried again before the next use where the store does not take it."""
        if self._store is None:
            return
        plain = json.dumps(asdict(self._held)).encode()
        self._is_kept = False
        try:
            await self._store.write(self._seal.name, self._seal.seal(plain, os.urandom(NONCE_BYTES)))
        except UnavailableError as outage:
            log.warning("token_not_kept", reason=outage.message)
            return
        self._is_kept = True

    async def _release(self, holder: str) -> None:
        if self._store is None:
            return
        try:
            await self._store.release(self._seal.name, holder)
        except UnavailableError:
            return  # it ends by itself
