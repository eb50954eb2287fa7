"""What a call comes to that got no answer.

The one rule: an error says what kind it is and never the address, whose query may hold a token.
"""

from __future__ import annotations

import ssl
from typing import Final

import httpx

from tributary_delivery.destinations.destination import CONFIG, RETRY, Outcome
from tributary_runtime.public_addresses import RefusedAddressError

_UNREACHED: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_PASSING_TLS_ERRORS: Final = (
    *(ssl.SSLEOFError, ssl.SSLSyscallError, ssl.SSLZeroReturnError),
    *(ssl.SSLWantReadError, ssl.SSLWantWriteError),
)

UNANSWERED: Final = (TimeoutError, RefusedAddressError, httpx.HTTPError, OSError)
"""What a call may raise that got no answer."""


def unanswered(error: BaseException) -> Outcome:
    """Returns what a call comes to that got no answer: one of `UNANSWERED` was raised."""
    if isinstance(error, TimeoutError):
        return Outcome(RETRY, message="No answer in time.")
    if isinstance(error, RefusedAddressError):
        return Outcome(CONFIG, message=str(error), is_untaken=True, is_unsent=True)
    if isinstance(error, httpx.HTTPError):
        # Never the text of the error: it may hold the address with its query, where customers keep tokens.
        if is_tls_refusal(error):
            why = "The destination's TLS certificate or protocol is refused."
            return Outcome(CONFIG, message=why, is_untaken=True, is_unsent=True)
        if isinstance(error, _UNREACHED):
            why = f"No connection was made: {type(error).__name__}."
            return Outcome(RETRY, message=why, is_untaken=True, is_unsent=True)
        return Outcome(RETRY, message=f"No answer: {type(error).__name__}.")
    why = f"The destination's host does not resolve: {type(error).__name__}."
    return Outcome(RETRY, message=why, is_untaken=True, is_unsent=True)


def is_tls_refusal(error: BaseException) -> bool:
    """Tells whether a connection failed for what TLS found, and will again: not for a line that broke or was slow."""
    seen: BaseException | None = error if isinstance(error, httpx.ConnectError) else None
    while seen is not None:
        if isinstance(seen, ssl.SSLError):
            return not isinstance(seen, _PASSING_TLS_ERRORS)
        seen = seen.__cause__ or seen.__context__
    return False
