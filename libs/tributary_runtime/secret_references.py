"""Secrets that `workspaces.yaml` names without containing them.

The one rule: a secret is resolved when the file is read, so that a missing one refuses the file and not the first
event, and it never appears in a message, a `repr` or a log line.
"""

import os
from pathlib import Path
from typing import Self

from pydantic import PrivateAttr, SecretStr, ValidationInfo, model_validator

from tributary_runtime.declared import Declared

WITHOUT_SECRETS = {"resolve_secrets": False}
"""Validation context for who checks a file away from its secrets: `Workspaces.model_validate(..., context=...)`."""


class SecretReference(Declared):
    """Where a secret is: exactly one of `env`, `file`, `value`."""

    env: str | None = None
    """Name of the environment variable that holds it."""

    file: Path | None = None
    """Path of the file that holds it; a trailing line break is not part of it."""

    value: SecretStr | None = None
    """The secret itself. For a laptop only: whoever reads the file has it."""

    _secret: SecretStr | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _resolve(self, info: ValidationInfo) -> Self:
        given = [source for source in (self.env, self.file, self.value) if source is not None]
        if len(given) != 1:
            raise ValueError("give exactly one of env, file, value")
        if info.context and info.context.get("resolve_secrets") is False:
            return self
        secret = self._read()
        if not secret:
            raise ValueError("the secret is empty")
        self._secret = SecretStr(secret)
        return self

    def _read(self) -> str:
        if self.value is not None:
            return self.value.get_secret_value()
        if self.env is not None:
            secret = os.environ.get(self.env)
            if secret is None:
                raise ValueError(f"the environment variable {self.env} is not set")
            return secret
        try:
            return Path(str(self.file)).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"cannot read the secret from {self.file}: {type(error).__name__}") from None

    def reveal(self) -> str:
        """Returns the secret as it was when the file was read.

        Raises:
            ValueError: The file was read without secrets.
        """
        if self._secret is None:
            raise ValueError("This file was read without its secrets.")
        return self._secret.get_secret_value()
