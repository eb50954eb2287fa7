"""Rules belong to one reading of `workspaces.yaml`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from tributary_ingestion.workspace_rules import RulesBook, compile_rules
from tributary_runtime.errors import NotFoundError
from tributary_runtime.workspaces import Workspace
from tributary_runtime.workspaces_file import WorkspacesFile


def write(path: Path, *names: str) -> None:
    conversions = [{"name": name} for name in names]
    workspace = {"id": "shop", "pepper": {"value": "p" * 16}, "conversions": conversions}
    path.write_text(yaml.safe_dump({"workspaces": [workspace]}))
    os.utime(path, ns=(len(names) + 1, len(names) + 1))


def test_rules_are_made_once_and_again_after_a_reload(tmp_path: Path) -> None:
    path = tmp_path / "workspaces.yaml"
    write(path, "purchase")
    workspaces = WorkspacesFile(path)
    book = RulesBook(workspaces)
    before = book.of("shop")
    assert book.of("shop") is before
    write(path, "purchase", "lead")
    assert workspaces.reload_if_changed()
    assert book.of("shop").expected.conversion_names == {"purchase", "lead"}
    assert before.expected.conversion_names == {"purchase"}


def test_a_workspace_that_is_gone_is_not_found(tmp_path: Path) -> None:
    write(tmp_path / "workspaces.yaml")
    with pytest.raises(NotFoundError):
        RulesBook(WorkspacesFile(tmp_path / "workspaces.yaml")).of("nobody")


def test_address_tokens_of_two_workspaces_differ() -> None:
    tokens = {
        compile_rules(Workspace.model_validate({"id": "w", "pepper": {"value": pepper}})).address_token("203.0.113.7")
        for pepper in ("one", "two")
    }
    assert len(tokens) == 2
