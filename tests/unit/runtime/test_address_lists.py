"""Lists of networks are read again when they change, and one that is bad makes nobody suspicious."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import yaml

from tests.support.eventually import eventually_async
from tributary_domain.addresses import read_address
from tributary_runtime.address_lists import AddressLists, InvalidAddressListError, read_book
from tributary_runtime.door_settings import BotAddresses
from tributary_runtime.workspaces_file import WorkspacesFile

ADDRESS = "203.0.113.7"


def lists(directory: Path, *, poll_seconds: float = 5.0, **declared: object) -> AddressLists:
    workspace = {"id": "shop", "pepper": {"value": "p" * 16}, "bot_addresses": declared}
    path = directory / "workspaces.yaml"
    path.write_text(yaml.safe_dump({"workspaces": [workspace]}))
    return AddressLists(WorkspacesFile(path), poll_seconds=poll_seconds)


def found(addresses: AddressLists) -> str:
    workspace = addresses._workspaces.current.workspaces[0]
    address = read_address(ADDRESS)
    assert address is not None
    return addresses.of(workspace).find(address)


def test_an_exempt_file_wins(tmp_path: Path) -> None:
    listed, relay = tmp_path / "hosting.txt", tmp_path / "relay.csv"
    listed.write_text("203.0.113.0/24\n")
    relay.write_text("203.0.113.0/28,DE,DE-BE,Berlin,\n")
    assert found(lists(tmp_path, files=[str(listed)])) == "hosting"
    assert found(lists(tmp_path, files=[str(listed)], exempt_files=[str(relay)])) == ""
    assert found(lists(tmp_path, files=[str(listed)], exempt_networks=["203.0.113.7/32"])) == ""


async def test_a_list_that_changes_is_read_again_while_the_process_runs(tmp_path: Path) -> None:
    listed = tmp_path / "hosting.txt"
    listed.write_text("198.51.100.0/24\n")
    addresses = lists(tmp_path, poll_seconds=0.01, files=[str(listed)])
    assert found(addresses) == ""
    stop = asyncio.Event()
    running = asyncio.create_task(addresses.run(stop))
    listed.write_text("203.0.113.0/24 # now this one\n")

    async def is_found() -> None:
        assert found(addresses) == "hosting"

    await eventually_async(is_found)
    stop.set()
    await running


@pytest.mark.parametrize("content", [b"nonsense\n", b"\xff\xfe", None])
def test_a_bad_list_leaves_the_one_that_was_read_before(tmp_path: Path, content: bytes | None) -> None:
    listed = tmp_path / "hosting.txt"
    listed.write_text("203.0.113.0/24\n")
    addresses = lists(tmp_path, files=[str(listed)])
    if content is None:
        listed.unlink()
    else:
        listed.write_bytes(content)
    addresses.refresh()
    assert found(addresses) == "hosting"


def test_a_list_that_was_never_right_lists_nobody_and_does_not_stop_the_process(tmp_path: Path) -> None:
    assert found(lists(tmp_path, files=[str(tmp_path / "missing.txt")])) == ""


def test_what_is_wrong_is_told_with_its_line(tmp_path: Path) -> None:
    listed = tmp_path / "hosting.txt"
    listed.write_text("203.0.113.0/24\nnonsense\n")
    with pytest.raises(InvalidAddressListError, match=r"hosting.txt holds what is no network, in line 2"):
        read_book(BotAddresses(files=(listed,)))
