"""The `workspaces.yaml` that a local installation begins with: one workspace, and a key that may do everything."""

from __future__ import annotations

import secrets

import yaml

from tributary_cli.api_keys import NewApiKey

LOCAL_WORKSPACE = "local"

_HEADER = """\
# The workspaces of this local installation, made when it was first started. Edit it freely: the services read it
# again when it changes, and keep the old one if the new one is wrong. The pepper must never change: every identity
# hangs on it.
"""


def render_local_workspaces(key: NewApiKey) -> str:
    """Returns the text of a `workspaces.yaml` with one workspace that `key` opens."""
    workspace = {
        "id": LOCAL_WORKSPACE,
        "name": "Local",
        "pepper": {"value": secrets.token_hex(32)},
        "api_keys": [key.as_entry()],
    }
    return _HEADER + yaml.safe_dump({"workspaces": [workspace]}, sort_keys=False)
