"""The directory of a local installation: one stack at a time, and a memory that is its owner's only."""

from __future__ import annotations

from pathlib import Path

import pytest

from tributary_cli.errors import StackError
from tributary_cli.stack.directory import Installation, StackDirectory


def test_a_second_stack_on_the_same_directory_is_refused(tmp_path: Path) -> None:
    with StackDirectory(tmp_path).lock():
        assert StackDirectory(tmp_path).is_locked()
        with pytest.raises(StackError, match=r"runs on .* already"), StackDirectory(tmp_path).lock():
            pass
    assert not StackDirectory(tmp_path).is_locked()


def test_a_directory_nobody_used_is_not_locked(tmp_path: Path) -> None:
    assert not StackDirectory(tmp_path / "missing").is_locked()


def test_what_was_remembered_is_recalled(tmp_path: Path) -> None:
    installation = Installation(ports={"query": 7305}, workspace="local", api_key="trb_a_b", internal_token="t", pid=1)
    StackDirectory(tmp_path).remember(installation)
    assert StackDirectory(tmp_path).recall() == installation


def test_the_memory_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    StackDirectory(tmp_path).remember(Installation(api_key="trb_a_b"))
    assert (tmp_path / "stack.json").stat().st_mode & 0o077 == 0


def test_a_damaged_memory_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text('{"unknown": 1}')
    with pytest.raises(StackError, match="Delete it"):
        StackDirectory(tmp_path).recall()


def test_a_directory_that_cannot_be_made_is_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StackError, match=r"Nothing can be written to .*file/data"):
        StackDirectory(tmp_path / "file" / "data").lock().__enter__()
