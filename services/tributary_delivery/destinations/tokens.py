"""Access tokens: where a request gets its own, and those that the file says itself.

The one rule: a token is never in a message, a log line or a `repr`.
"""

from __future__ import annotations

from typing import Protocol

from tributary_delivery.destinations.destination import CONFIG, Outcome
from tributary_runtime.secret_references import SecretReference


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

    @property
    def home(self) -> str:
        """Where the API is that the last token is for; "": where the settings say."""
        ...

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

    home = ""

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
