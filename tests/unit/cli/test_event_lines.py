"""A file of events is read line by line; what is no event is said and passed over."""

from __future__ import annotations

import pytest

from tributary_cli.event_lines import EventLine, UnreadableLine, read_event_lines


def _read(*lines: str) -> list[EventLine | UnreadableLine]:
    return list(read_event_lines(line.encode() for line in lines))


def test_each_line_is_an_event_in_either_spelling() -> None:
    lines = _read('{"event_id": "e-1", "conversion": {"order_id": "o"}}', '{"eventId": "e-2", "sessionId": "s"}')
    assert [line.event.event_id for line in lines if isinstance(line, EventLine)] == ["e-1", "e-2"]


def test_line_numbers_count_empty_lines() -> None:
    assert [line.number for line in _read("", "  ", '{"event_id": "e"}')] == [3]


@pytest.mark.parametrize(
    ("line", "field", "message"),
    [
        pytest.param("{", "", "Expecting property name", id="no JSON"),
        pytest.param("[]", "", "is no JSON object", id="a list"),
        pytest.param("null", "", "is no JSON object", id="null"),
        pytest.param('{"x": 1}', "x", "is no field of an event", id="unknown field"),
        pytest.param('{"touchpoint": {"x": 1}}', "touchpoint.x", "is no field of an event", id="unknown field inside"),
        pytest.param('{"eventTime": "gestern"}', "eventTime", "missing valid timezone offset", id="no time"),
        pytest.param(
            '{"touchpoint": {"kind": "FOO"}}', "touchpoint.kind", "Invalid enum value FOO", id="no enum value"
        ),
        pytest.param('{"touchpoint": {"utm": {"id": 3}}}', "utm.id", "expected string", id="no text"),
        pytest.param('{"touchpoint": {}, "identify": {}}', "kind", "is given more than once", id="two kinds"),
        pytest.param('{"event_id": "a", "event_id": "b"}', "", "duplicate key event_id", id="a key twice"),
    ],
)
def test_what_is_no_event_is_blamed_on_its_field(line: str, field: str, message: str) -> None:
    (found,) = _read(line)
    assert isinstance(found, UnreadableLine)
    assert found.field == field
    assert message in found.message


def test_bytes_that_are_no_text_are_no_event() -> None:
    (found,) = read_event_lines([b'{"event_id": "\xff"}'])
    assert isinstance(found, UnreadableLine)


def test_an_event_without_an_id_gets_the_same_one_each_time() -> None:
    one, other, different = _read('{"session_id": "s"}', '{ "sessionId": "s" }', '{"session_id": "t"}')
    assert isinstance(one, EventLine)
    assert isinstance(other, EventLine)
    assert isinstance(different, EventLine)
    assert one.event.event_id == other.event.event_id != different.event.event_id


def test_the_mark_with_which_some_editors_begin_a_file_is_no_part_of_its_first_line() -> None:
    first, second = _read('\ufeff{"eventId": "e-1"}', '\ufeff{"eventId": "e-2"}')
    assert isinstance(first, EventLine)
    assert first.event.event_id == "e-1"
    assert isinstance(second, UnreadableLine), "elsewhere it is a mistake"
