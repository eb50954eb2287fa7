"""Events on disk until they are decided: bounded, undamaged by a kill, one process per lane."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from tributary_client import SpoolError, Spooling
from tributary_client.entry import Entry
from tributary_client.spool import Spool


def opened(
    directory: Path, *, segment_bytes: int = 1000, max_bytes: int = 10_000, kind: str = "lane", fsync: bool = False
) -> Spool:
    spooling = Spooling(directory, max_bytes=max_bytes, segment_bytes=segment_bytes, fsync=fsync)
    return Spool(spooling, kind, count(1).__next__)


def put(spool: Spool, *bodies: str, hold: bool = True) -> list[Entry]:
    entries = [Entry(body.encode(), f"tp-{body}", is_stamped=body.startswith("s")) for body in bodies]
    for number, entry in enumerate(entries):
        entry.number = number
        assert spool.append(entry, hold=hold)
    return entries


def loaded(spool: Spool, events: int = 1000, size: int = 1 << 20) -> list[str]:
    return [entry.body.decode() for entry in spool.load(events, size)]


def files(directory: Path, pattern: str = "*.events") -> list[Path]:
    return sorted(directory.glob(f"lane-*/{pattern}"))


def test_it_never_grows_beyond_its_bound_though_it_begins_another_file(tmp_path: Path) -> None:
    for size in range(0, 400, 7):
        spool, entry = opened(tmp_path / str(size), segment_bytes=400, max_bytes=4_000), Entry(b"x" * size)
        while spool.fits(entry):
            assert spool.append(entry, hold=False)
        assert spool.bytes <= 4_000, size
        spool.close()


def test_what_is_not_decided_is_there_for_the_next_process_as_it_was(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    first, second, third = put(spool, "a", "stamped", "c")
    spool.settle([first])
    spool.close()
    left = opened(tmp_path).load(1000, 1 << 20)
    assert [(entry.body, entry.traceparent, entry.is_stamped) for entry in left] == [
        (entry.body, entry.traceparent, entry.is_stamped) for entry in (second, third)
    ]
    assert [entry.number for entry in left] == [1, 2], "in the new client's order"


def test_what_somebody_holds_in_memory_is_not_loaded(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    put(spool, "a")
    assert not spool.has_backlog
    put(spool, "b", "c", hold=False)
    assert spool.has_backlog
    assert loaded(spool) == ["b", "c"]
    assert not spool.has_backlog


def test_a_backlog_is_loaded_in_order_a_few_at_a_time_over_many_files(tmp_path: Path) -> None:
    spool = opened(tmp_path, segment_bytes=300)
    bodies = [f"event-{number}" for number in range(40)]
    put(spool, *bodies, hold=False)
    assert len(files(tmp_path)) > 3
    got: list[str] = []
    while spool.has_backlog:
        batch = loaded(spool, events=3)
        assert 1 <= len(batch) <= 3
        got += batch
    assert got == bodies


def test_a_file_goes_when_all_its_events_are_decided(tmp_path: Path) -> None:
    spool = opened(tmp_path, segment_bytes=100)
    entries = put(spool, *(f"event-{number}" for number in range(40)))
    before = len(files(tmp_path))
    spool.settle(entries[20:])
    assert 1 < len(files(tmp_path)) < before
    spool.settle(entries[:20])
    spool.close()
    assert files(tmp_path) == []
    assert files(tmp_path, "*.done") == []


def test_a_full_spool_takes_no_more_until_something_is_decided(tmp_path: Path) -> None:
    spool = opened(tmp_path, segment_bytes=500, max_bytes=1000)
    entries: list[Entry] = []
    while spool.fits(Entry(b"x" * 100)):
        entries += put(spool, "x" * 100)
        assert len(entries) < 100
    assert spool.bytes <= 1000
    spool.settle(entries)
    assert spool.fits(Entry(b"x" * 100))


@pytest.mark.parametrize("cut", [1, 5, 9, 12])
def test_half_a_record_at_the_end_harms_no_other(tmp_path: Path, cut: int) -> None:
    spool = opened(tmp_path)
    put(spool, "a", "b", "c")
    spool.close()
    (path,) = files(tmp_path)
    os.truncate(path, path.stat().st_size - cut)
    spool = opened(tmp_path)
    assert loaded(spool) == ["a", "b"]
    assert (spool.take_damages(), spool.take_lost(), spool.unreadable) == ([], [], 0), "nobody was told that it is kept"
    spool.close()
    assert files(tmp_path, "*.damaged") == []


def test_a_length_that_cannot_be_true_is_damage_where_others_follow(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    put(spool, "a", "b", "c")
    spool.close()
    (path,) = files(tmp_path)
    content = bytearray(path.read_bytes())
    begin = content.index(b"tp-b") - 2 - 8
    content[begin + 3] = 0x7F
    path.write_bytes(content)
    spool = opened(tmp_path)
    assert loaded(spool) == ["a"]
    (damage,) = spool.take_damages()
    assert (damage.records, damage.size) == (1, len(content) - begin)
    assert damage.path.read_bytes() == content[begin:]
    spool.close()
    again = opened(tmp_path)
    assert (loaded(again), again.take_damages(), again.unreadable) == (["a"], [], 0), "it was said"


def test_a_flipped_bit_is_noticed_and_costs_no_other(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    put(spool, "a", "b", "c")
    spool.close()
    (path,) = files(tmp_path)
    content = bytearray(path.read_bytes())
    content[content.index(b"tp-bb") + 4] ^= 1
    path.write_bytes(content)
    spool = opened(tmp_path)
    assert loaded(spool) == ["a", "c"]
    assert spool.unreadable == 1


def test_what_is_damaged_while_we_run_is_lost_alone_and_said(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    put(spool, "a", "b", "c", hold=False)
    (path,) = files(tmp_path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert loaded(spool) == ["a", "b"]
    assert loaded(spool) == []
    assert spool.take_lost() == [2]
    assert (spool.unreadable, spool.has_backlog) == (1, False)
    (damage,) = spool.take_damages()
    assert (damage.records, damage.size) == (1, 8 + 2 + len("tp-c") + 1)
    assert damage.path.read_bytes() == content[-damage.size :]


@pytest.mark.parametrize("hold", [True, False], ids=["held in memory", "left on disk"])
def test_what_comes_after_damage_was_found_is_there_for_the_next_process(tmp_path: Path, hold: bool) -> None:
    spool = opened(tmp_path)
    put(spool, "a", "b", "c", hold=False)
    (path,) = files(tmp_path)
    content = bytearray(path.read_bytes())
    at = content.index(b"tp-b") - 10  # the length of its record
    content[at : at + 4] = b"\xff\xff\xff\x7f"
    path.write_bytes(content)
    assert loaded(spool) == ["a"]
    put(spool, "later", hold=hold)
    assert loaded(spool) == ([] if hold else ["later"])
    spool.abandon()  # as if it were killed
    assert loaded(opened(tmp_path)) == ["a", "later"]


def test_a_file_goes_when_what_was_left_of_it_cannot_be_read(tmp_path: Path) -> None:
    spool = opened(tmp_path, segment_bytes=10_000, max_bytes=20_000)
    for number in range(6):
        [decided] = put(spool, "decided")
        put(spool, "x" * 3000, hold=False)
        spool.settle([decided])
        (path,) = files(tmp_path)
        path.write_bytes(path.read_bytes()[:-1] + b"?")
        assert (loaded(spool), spool.unreadable) == ([], number + 1)
        assert (files(tmp_path), files(tmp_path, "*.done"), spool.bytes) == ([], [], 0)
    assert sum(damage.path.stat().st_size for damage in spool.take_damages()) > 6 * 3000
    put(spool, "later", hold=False)
    assert loaded(spool) == ["later"]


def test_of_a_damaged_file_only_what_cannot_be_read_is_kept(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    put(spool, "a", "bbbb", "c", "dddd", "e")
    spool.close()
    (path,) = files(tmp_path)
    content = path.read_bytes().replace(b"bbbb", b"b-bb").replace(b"dddd", b"d-dd")
    path.write_bytes(content)
    spool = opened(tmp_path)
    assert spool.has_damages
    (damage,) = spool.take_damages()
    spool.settle(spool.load(10, 1_000))
    assert (damage.records, damage.size, spool.unreadable) == (2, 2 * (8 + 2 + len("tp-bbbb") + 4), 2)
    assert files(tmp_path) == []
    kept = damage.path.read_bytes()
    assert len(kept) == damage.size
    assert b"b-bb" in kept
    assert b"d-dd" in kept
    assert b"tp-a" not in kept, "it was delivered"
    assert damage.path.stat().st_mode & 0o777 == 0o600
    assert (
        str(damage) == f"2 record(s) or more of the spool cannot be read; 42 bytes are kept for 30 days: {damage.path}"
    )
    assert not spool.has_damages
    spool.close()


def test_what_cannot_be_read_is_deleted_after_30_days_whoever_found_it(tmp_path: Path) -> None:
    (tmp_path / "lane-7").mkdir()
    old, new = (tmp_path / "lane-7" / f"{name}.damaged" for name in ("old", "new"))
    for path, days in ((old, 31), (new, 29)):
        path.write_bytes(b"jo@example.com")
        os.utime(path, ns=(time.time_ns() - days * 86_400 * 10**9,) * 2)
    opened(tmp_path).close()
    assert files(tmp_path, "*.damaged") == [new]


def test_a_disk_that_spoils_every_file_is_not_filled_with_them(tmp_path: Path) -> None:
    for _ in range(10):
        spool = opened(tmp_path)
        put(spool, "a")
        (path,) = files(tmp_path)
        spool.close()
        path.write_bytes(path.read_bytes()[:-1] + b"?")
        opened(tmp_path).close()
    assert len(files(tmp_path, "*.damaged")) == 8


def test_a_file_of_which_nothing_was_written_yet_is_no_loss(tmp_path: Path) -> None:
    (tmp_path / "lane-0").mkdir()
    (tmp_path / "lane-0" / "0000000007.events").write_bytes(b"TRBS\1\0")
    spool = opened(tmp_path)
    assert (spool.take_damages(), spool.unreadable, files(tmp_path)) == ([], 0, [])


def test_damaged_marks_only_cost_a_repetition(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    entries = put(spool, *"abcde")
    spool.settle(entries[:1])
    spool.settle(entries[2:4])
    spool.close()
    (marks,) = files(tmp_path, "*.done")
    os.truncate(marks, marks.stat().st_size - 1)
    assert loaded(opened(tmp_path)) == ["b", "c", "d", "e"]


def test_marks_of_another_file_are_not_believed(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    entries = put(spool, "a", "b")
    spool.settle(entries[:1])
    spool.close()
    (marks,) = files(tmp_path, "*.done")
    content = bytearray(marks.read_bytes())
    content[10] ^= 1  # within the id
    marks.write_bytes(content)
    assert loaded(opened(tmp_path)) == ["a", "b"]


def test_a_foreign_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "lane-0").mkdir()
    foreign = tmp_path / "lane-0" / "0000000007.events"
    foreign.write_bytes(b"something else, of somebody else")
    spool = opened(tmp_path)
    assert (loaded(spool), spool.unreadable) == ([], 1)
    (damage,) = spool.take_damages()
    assert (damage.path, damage.records, damage.size) == (foreign, 0, 32)
    put(spool, "a")
    spool.close()
    assert foreign.read_bytes() == b"something else, of somebody else"


def test_two_processes_have_a_lane_each(tmp_path: Path) -> None:
    first, second = opened(tmp_path), opened(tmp_path)
    put(first, "a")
    put(second, "b")
    assert [path.parent.name for path in files(tmp_path)] == ["lane-0", "lane-1"]
    first.close()
    second.close()


def test_what_dead_processes_left_in_other_lanes_is_taken_over(tmp_path: Path) -> None:
    spools = [opened(tmp_path) for _ in range(3)]
    for number, spool in enumerate(spools):
        entries = put(spool, f"a{number}", f"b{number}")
        spool.settle(entries[:1])
    for spool in spools[1:]:
        spool.close()
    third = opened(tmp_path)
    assert sorted(loaded(third)) == ["b1", "b2"], "and nothing of the lane whose process lives"
    assert [path.parent.name for path in files(tmp_path)] == ["lane-0", "lane-1", "lane-1"]
    third.close()
    spools[0].close()


def test_history_is_never_taken_for_live_events(tmp_path: Path) -> None:
    history = opened(tmp_path, kind="backfill")
    put(history, "old")
    history.close()
    live = opened(tmp_path)
    assert loaded(live) == []
    live.close()
    assert loaded(opened(tmp_path, kind="backfill")) == ["old"]


def test_a_spool_that_waits_for_the_disk_holds_the_same(tmp_path: Path) -> None:
    spool = opened(tmp_path, segment_bytes=100, fsync=True)
    bodies = [f"event-{number}" for number in range(20)]
    put(spool, *bodies)
    spool.close()
    assert loaded(opened(tmp_path)) == bodies


DIES = """
import os, sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from tributary_client.entry import Entry
from tributary_client.spool import Spool, Spooling
spool = Spool(Spooling(sys.argv[1]), "lane", count(1).__next__)
for number in range(100):
    spool.append(Entry(f"event-{number}".encode()), hold=True)
os.kill(os.getpid(), 9)
"""


def test_a_killed_process_leaves_its_events_and_its_lane(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", DIES, str(tmp_path)], check=False)
    assert done.returncode == -9
    spool = opened(tmp_path)
    assert loaded(spool) == [f"event-{number}" for number in range(100)]
    assert spool.unreadable == 0
    spool.close()
    assert [path.parent.name for path in files(tmp_path)] == ["lane-0"]


def test_one_damaged_record_costs_no_other(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    entries = put(spool, "a", "bbbb", "c", "d")
    spool.settle([entries[2]])
    spool.close()
    (path,) = files(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"bbbb", b"b-bb"))
    again = opened(tmp_path)
    assert loaded(again) == ["a", "d"], "c was decided"
    assert again.unreadable == 1
    again.close()
    assert opened(tmp_path).unreadable == 0, "it was said"


def test_a_record_that_is_damaged_later_is_lost_alone(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    put(spool, "a", "bbbb", "c", hold=False)
    (path,) = files(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"bbbb", b"b-bb"))
    assert loaded(spool) == ["a", "c"]
    assert spool.take_lost() == [1]
    spool.close()


@contextmanager
def disk_of(file_bytes: int) -> Iterator[None]:
    """Lets no file grow beyond a size."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)


def test_a_disk_that_takes_no_more_is_said_and_costs_nothing_that_was_taken(tmp_path: Path) -> None:
    spool = opened(tmp_path, segment_bytes=100_000, max_bytes=1_000_000)
    put(spool, "a")
    with disk_of(1_000):
        assert not spool.append(Entry(b"x" * 5_000), hold=True)
    put(spool, "b")
    spool.close()
    assert loaded(opened(tmp_path)) == ["a", "b"]


@pytest.mark.parametrize("room", [0, 10], ids=["nothing", "half a header"])
def test_a_disk_that_takes_no_new_file_is_left_no_half_one_nor_costs_a_descriptor(tmp_path: Path, room: int) -> None:
    spool = opened(tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    with disk_of(room):
        assert not any(spool.append(Entry(b"x"), hold=True) for _ in range(20))
    assert files(tmp_path) == []
    assert len(os.listdir("/proc/self/fd")) == before
    put(spool, "b")
    spool.close()
    assert loaded(opened(tmp_path)) == ["b"]


def test_a_directory_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolError, match="file"):
        opened(tmp_path / "file")


def test_a_spool_too_small_for_two_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="twice"):
        Spooling(tmp_path, max_bytes=10, segment_bytes=6)
