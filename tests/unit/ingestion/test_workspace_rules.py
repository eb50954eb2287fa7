"""Rules belong to one reading of `workspaces.yaml`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from tributary_ingestion.workspace_rules import RulesBook, compile_rules
from tributary_runtime.address_lists import AddressLists
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
    book = RulesBook(workspaces, AddressLists(workspaces))
    before = book.of("shop")
    assert book.of("shop") is before
    write(path, "purchase", "lead")
    assert workspaces.reload_if_changed()
    assert book.of("shop").expected.conversion_names == {"purchase", "lead"}
    assert before.expected.conversion_names == {"purchase"}


def test_a_workspace_that_is_gone_is_not_found(tmp_path: Path) -> None:
    write(tmp_path / "workspaces.yaml")
    workspaces = WorkspacesFile(tmp_path / "workspaces.yaml")
    with pytest.raises(NotFoundError):
        RulesBook(workspaces, AddressLists(workspaces)).of("nobody")


def test_address_tokens_of_two_workspaces_differ() -> None:
    tokens = {
        compile_rules(Workspace.model_validate({"id": "w", "pepper": {"value": pepper}})).judge_address("203.0.113.7")[
            0
        ]
        for pepper in ("one", "two")
    }
    assert len(tokens) == 2


def test_a_changed_list_of_addresses_makes_the_rules_anew(tmp_path: Path) -> None:
    path, listed = tmp_path / "workspaces.yaml", tmp_path / "hosting.txt"
    listed.write_text("203.0.113.0/24\n")
    workspace = {"id": "shop", "pepper": {"value": "p" * 16}, "bot_addresses": {"files": [str(listed)]}}
    path.write_text(yaml.safe_dump({"workspaces": [workspace]}))
    workspaces = WorkspacesFile(path)
    addresses = AddressLists(workspaces)
    book = RulesBook(workspaces, addresses)
    assert [book.of("shop").judge_address(address)[1] for address in ("203.0.113.7", "198.51.100.7")] == ["hosting", ""]
    listed.write_text("198.51.100.0/24 \n")
    addresses.refresh()
    assert [book.of("shop").judge_address(address)[1] for address in ("203.0.113.7", "198.51.100.7")] == ["", "hosting"]


@pytest.mark.parametrize(
    ("one", "other", "is_one"),
    [
        pytest.param("2001:db8::1", "2001:db8::ffff:1", True, id="two addresses of one household"),
        pytest.param("2001:db8::1", "2001:DB8:0:0:0:0:0:1", True, id="two spellings"),
        pytest.param("::ffff:203.0.113.7", "203.0.113.7", True, id="IPv4 within IPv6"),
        pytest.param("2001:db8:0:1::1", "2001:db8:0:2::1", False, id="two households"),
        pytest.param("203.0.113.7", "203.0.113.8", False, id="two addresses"),
    ],
)
def test_a_token_stands_for_what_one_household_has(one: str, other: str, is_one: bool) -> None:
    judge = compile_rules(Workspace.model_validate({"id": "w", "pepper": {"value": "p" * 16}})).judge_address
    assert (judge(one)[0] == judge(other)[0]) is is_one
