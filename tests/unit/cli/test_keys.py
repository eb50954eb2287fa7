"""`tributary keys create` prints a key once, and lines that workspaces.yaml takes."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from pathlib import Path

import yaml
from click.testing import CliRunner

from tributary_cli.command_line import cli
from tributary_runtime.workspaces import Scope
from tributary_runtime.workspaces_file import parse_workspaces


def _create(*arguments: str) -> dict[str, object]:
    result = CliRunner().invoke(cli, ["keys", "create", *arguments, "--json"])
    assert result.exit_code == 0, result.output
    created: dict[str, object] = json.loads(result.stdout)
    return created


def test_the_printed_lines_make_the_key_valid_in_workspaces_yaml(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["keys", "create", "shop", "--scope", "query", "--expires-on", "2126-01-31"])
    snippet = result.stdout[result.stdout.index("      - id:") :]
    file = tmp_path / "workspaces.yaml"
    file.write_text(f"workspaces:\n  - id: shop\n    pepper: {{value: salt-and-pepper}}\n    api_keys:\n{snippet}")
    (key,) = parse_workspaces(file).workspaces[0].api_keys
    assert f"trb_{key.id}_" in result.stdout
    assert key.scopes == (Scope.QUERY,)
    assert key.expires_on == date(2126, 1, 31)


def test_the_file_gets_the_hash_of_the_secret_and_not_the_secret() -> None:
    created = _create("shop")
    _, key_id, secret = str(created["api_key"]).split("_")
    entry = created["entry"]
    assert entry == {"id": key_id, "sha256": hashlib.sha256(secret.encode()).hexdigest(), "scopes": ["ingest"]}
    assert secret not in yaml.safe_dump(entry)


def test_two_keys_are_never_the_same() -> None:
    assert _create("shop")["api_key"] != _create("shop")["api_key"]


def test_a_last_day_that_is_over_is_refused() -> None:
    result = CliRunner().invoke(cli, ["keys", "create", "shop", "--expires-on", "2020-01-31"])
    assert result.exit_code == 2
    assert "2020-01-31 is over: nothing would accept the key." in result.output


def test_a_workspace_id_that_is_none_is_refused() -> None:
    result = CliRunner().invoke(cli, ["keys", "create", "My Shop"])
    assert result.exit_code == 2
    assert "lower-case letters" in result.stderr
