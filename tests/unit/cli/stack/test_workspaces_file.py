"""The workspaces.yaml of a fresh local installation is valid."""

from __future__ import annotations

from pathlib import Path

from tributary_cli.stack.workspaces_file import LOCAL_WORKSPACE, render_local_workspaces
from tributary_runtime.authentication import new_key
from tributary_runtime.workspaces import Scope
from tributary_runtime.workspaces_file import parse_workspaces


def test_it_has_one_workspace_whose_key_may_do_everything(tmp_path: Path) -> None:
    key = new_key()
    file = tmp_path / "workspaces.yaml"
    file.write_text(render_local_workspaces(key))
    (workspace,) = parse_workspaces(file).workspaces
    assert workspace.id == LOCAL_WORKSPACE
    assert [found.id for found in workspace.api_keys] == [key.id]
    assert set(workspace.api_keys[0].scopes) == set(Scope)
