"""Every text of an event states in the contract how long it may be, and the door keeps to that."""

from __future__ import annotations

import re

from tests.support.distribution import ROOT
from tributary_domain import texts

PROTOS = ROOT / "protos" / "tributary" / "event" / "v1"
PARTS = {
    "": ("event", "Event"),
    "touchpoint": ("touchpoint", "Touchpoint"),
    "touchpoint.utm": ("touchpoint", "Utm"),
    "touchpoint.ad": ("touchpoint", "Ad"),
    "conversion": ("conversion", "Conversion"),
    "conversion.recurrence": ("conversion", "Recurrence"),
    "conversion.lead": ("conversion", "LeadStage"),
    "adjustment": ("adjustment", "Adjustment"),
    "identifiers": ("identifiers", "Identifiers"),
    "identifiers.address": ("identifiers", "PostalAddress"),
    "click_ids": ("click_ids", "ClickIds"),
    "browser_ids": ("click_ids", "BrowserIds"),
    "context": ("context", "Context"),
    "consent": ("consent", "Consent"),
    "experiment": ("event", "Experiment"),
    "human_check": ("context", "HumanCheck"),
}
"""Path into the event -> the file and message that hold it."""
GROUPS = [group for group in vars(texts).values() if isinstance(group, texts.TextGroup)]
FIELDS = [(group, position) for group in GROUPS for position in range(len(group.names))]


def comments(file: str, message: str) -> tuple[str, dict[str, str]]:
    """Returns the comment of a message, and those of its fields by name, each as one line."""
    above, fields, inside, found = "", {}, False, ""
    for line in (PROTOS / f"{file}.proto").read_text().splitlines():
        text = line.strip()
        if text.startswith("//"):
            above += " " + text.removeprefix("//").strip()
            continue
        if re.match(rf"message {message} \{{", text):
            found, inside = above, True
        elif inside and line == "}":
            return found, fields
        elif inside and (field := re.match(r"(?:optional )?string (\w+) = ", text)):
            fields[field[1]] = above
        above = ""
    raise AssertionError(message)


def stated(comment: str) -> set[int]:
    """Returns the numbers of characters that a comment gives."""
    numbers = re.findall(r"(?:at most|1-)\s*(\d[\d ]*)\s*characters", comment, flags=re.IGNORECASE)
    return {int(number.replace(" ", "")) for number in numbers}


def test_the_limit_of_a_text_is_stated_in_its_comment_or_its_messages() -> None:
    unstated = []
    for group, position in FIELDS:
        of_message, of_fields = comments(*PARTS[group.path])
        own = stated(of_fields[group.names[position]])
        if group.limits[position] not in (own or stated(of_message)):
            unstated.append(group.field(position))
    assert unstated == []
    assert len(FIELDS) == 105


def test_the_limit_of_the_event_id_is_stated() -> None:
    assert stated(comments("event", "Event")[1]["event_id"]) == {128}
