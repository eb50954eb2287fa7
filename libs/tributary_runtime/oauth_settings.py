"""How access tokens are obtained, for destinations that give out short-lived ones (RFC 6749, RFC 7523).

The one rule: what an application is trusted by is a reference; what it asks for stands in the file.
"""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from tributary_runtime.declared import Declared
from tributary_runtime.secret_references import SecretReference


class OAuthGrant(StrEnum):
    """What a token is obtained with."""

    REFRESH_TOKEN = "refresh_token"  # noqa: S105 - the name of a grant
    """What an account consented to once, in a browser."""
    CLIENT_CREDENTIALS = "client_credentials"
    """The application's own id and secret."""
    JWT_BEARER = "jwt_bearer"
    """An assertion that the application signs: a Google service account, a Salesforce connected app."""


class OAuth(Declared):
    """An application that obtains access tokens, and another before one has expired."""

    grant: OAuthGrant = OAuthGrant.REFRESH_TOKEN
    """refresh_token | client_credentials | jwt_bearer: with what tokens are obtained, where it offers that."""

    client_id: SecretReference
    """Of the application; with jwt_bearer who signs: of a Google service account its e-mail address."""

    client_secret: SecretReference | None = None
    """Of the application, unless it is a public one or signs."""

    refresh_token: SecretReference | None = None
    """Of the account that gave its consent, for refresh_token. Where the destination answers with another one, that is
    kept in the Redis of role jobs, encrypted under a key that this one makes, and used from then on by all processes;
    another one here takes its place. Lost with that Redis: then give a new one here, if this one no longer holds."""

    private_key: SecretReference | None = None
    """For jwt_bearer: RSA, in PEM without a password, or the JSON file of a Google service account."""

    subject: Annotated[str, Field(max_length=256)] = ""
    """For jwt_bearer: for whom the application asks; Salesforce needs a user's name. Unset: for itself."""

    audience: Annotated[str, Field(max_length=2048)] = ""
    """For jwt_bearer: for whom the assertion is; of Salesforce https://login.salesforce.com. Unset: `token_url`."""

    scope: Annotated[str, Field(max_length=1024, pattern=r"^[!-~]*( [!-~]+)*$")] = ""
    """What is asked for, separated by blanks; unset: what the destination's API needs, where it must be named."""

    client_authentication: Literal["", "body", "basic"] = ""
    """body | basic: how the application's id and secret are told; unset: as the destination usually wants it."""

    token_url: Annotated[str, Field(max_length=2048)] | None = None
    """Where access tokens are obtained, https as `base_url` is; unset: the destination's usual address."""

    @field_validator("private_key")
    @classmethod
    def _check_key(cls, value: SecretReference | None, info: ValidationInfo) -> SecretReference | None:
        if value is not None and not (info.context and info.context.get("resolve_secrets") is False):
            from tributary_domain.jwt_assertions import SigningKey  # not at the top: who signs nothing need not load it

            SigningKey(value.reveal())
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = {
            name: getattr(self, name) not in (None, "")
            for name in ("client_secret", "refresh_token", "private_key", "subject", "audience")
        }
        needed, possible = _SECRETS[self.grant]
        missing = [name for name in needed if not given[name]]
        if missing:
            raise ValueError(f"grant {self.grant.value} needs {', '.join(missing)}")
        surplus = [name for name, is_given in given.items() if is_given and name not in (*needed, *possible)]
        if surplus:
            raise ValueError(f"grant {self.grant.value} uses no {', '.join(surplus)}")
        return self


_SECRETS = {
    OAuthGrant.REFRESH_TOKEN: (("refresh_token",), ("client_secret",)),
    OAuthGrant.CLIENT_CREDENTIALS: (("client_secret",), ()),
    OAuthGrant.JWT_BEARER: (("private_key",), ("subject", "audience")),
}
"""Grant -> what it needs, and what else it may use."""
