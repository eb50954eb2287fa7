"""One request to a batch destination over HTTP, and its answer as a value.

The one rule: the token goes where the destination's policy says, and nowhere else.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Final

import httpx

from tributary_delivery.destinations.adapter import Answer, Request
from tributary_runtime.checked_http import CheckedHttp, read_body
from tributary_runtime.clock import Clock

_MOST_ANSWER_BYTES: Final = 8_000_000
_TEXT_CHARACTERS: Final = 65_536


class Exchange:
    """Asks one destination.

    Args:
        base_url: Where its API is.
        credential_place: As `Policy.credential_place`.
        make_http: Makes what calls an address.
        home: Tells where the API is that the token is for; "": at `base_url`.
        clock: Tells when it answered.
        call_seconds: How long one call may take.
    """

    def __init__(
        self,
        base_url: str,
        credential_place: str,
        make_http: Callable[[httpx.URL], CheckedHttp],
        home: Callable[[], str],
        clock: Clock,
        *,
        call_seconds: float,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._place = credential_place
        self._make_http = make_http
        self._home = home
        self._clients: dict[str, CheckedHttp] = {}  # by where it calls: as good as ever one
        self._clock = clock
        self._call_seconds = call_seconds

    async def ask(self, request: Request, token: str) -> Answer:
        """Makes one request.

        Raises:
            checked_http.UNANSWERED: There is no answer.
        """
        async with asyncio.timeout(self._call_seconds):  # of all of it: httpx counts each read anew
            base_url = self._home() or self._base_url
            url, headers = self._url(base_url, request, token), self._headers(request, token)
            response = await self._http(base_url).post(url, request.body, headers, request.method)
            content = await read_body(response, _MOST_ANSWER_BYTES)
        headers = {name.lower(): text for name, text in response.headers.items()}
        text = content[:_TEXT_CHARACTERS].decode("utf-8", "replace")
        return Answer(response.status_code, headers, _parsed(content), text, self._clock.unix_micros() // 1_000_000)

    async def aclose(self) -> None:
        """Closes its connections."""
        for http in self._clients.values():
            await http.aclose()

    def _http(self, base_url: str) -> CheckedHttp:
        if base_url not in self._clients:
            self._clients[base_url] = self._make_http(httpx.URL(base_url))
        return self._clients[base_url]

    def _url(self, base_url: str, request: Request, token: str) -> httpx.URL:
        query = dict(request.query)
        if self._place.startswith("?"):
            query[self._place[1:]] = token
        return httpx.URL(base_url + request.path, params=query)

    def _headers(self, request: Request, token: str) -> dict[str, str]:
        headers = {"content-type": "application/json", **request.headers}
        if not self._place.startswith("?"):
            headers[self._place] = f"Bearer {token}" if self._place == "authorization" else token
        return headers


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content) if content else None
    except ValueError:
        return None
