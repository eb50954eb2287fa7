"""The `workspaces.yaml` that a local installation begins with: one workspace, and a key that may do everything."""

from __future__ import annotations

import base64
import secrets

import yaml

from tributary_runtime.authentication import NewKey
from tributary_runtime.workspaces import Scope

LOCAL_WORKSPACE = "local"

_HEADER = """\
# The workspaces of this local installation, made when it was first started. Edit it freely: the services read it
# again when it changes, and keep the old one if the new one is wrong. The pepper must never change: every identity
# hangs on it.
"""


def render_local_workspaces(key: NewKey) -> str:
    """Returns the text of a `workspaces.yaml` with one workspace that `key` opens."""
    workspace = {
        "id": LOCAL_WORKSPACE,
        "name": "Local",
        "pepper": {"value": secrets.token_hex(32)},
        "data_key": {"value": base64.b64encode(secrets.token_bytes(32)).decode()},
        "api_keys": [{"id": key.id, "sha256": key.sha256, "scopes": [scope.value for scope in Scope]}],
    }
    return _HEADER + yaml.safe_dump({"workspaces": [workspace]}, sort_keys=False)
