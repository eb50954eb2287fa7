"""Google's Data Manager API: one bad event refuses all and is named; what is taken is queued, and processed later.

The same transaction of the same conversion action is its new total, if the same click and person are named; one that is
not known when it is processed is another conversion, whatever it was meant to correct. So is what was meant to correct
a sale in a store or by phone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tributary_cli.demo.fakes.fake import Ask, Fake, Reply, is_hash, number

_MOST_EVENTS, _MOST_DESTINATIONS, _MOST_IDENTIFIERS = 2_000, 10, 10
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")
_HASHED_NAMES: Final = ("givenName", "familyName")
_COUNTS_ALREADY: Final = ("", "DUPLICATE_GCLID", "DUPLICATE_TRANSACTION_ID")
"""Reasons of what is not refused, and of what counts under another id or was there."""
_CLICKS: Final = ("gclid", "gbraid", "wbraid", "dclid")
_UNADJUSTED: Final = ("IN_STORE", "PHONE")
_SOURCES: Final = ("EVENT_SOURCE_UNSPECIFIED", "WEB", "APP", "IN_STORE", "PHONE", "OTHER", "MESSAGE")
"""By their numbers: Google's own client writes these."""
_ENCODINGS: Final = ("ENCODING_UNSPECIFIED", "HEX", "BASE64")


class FakeGoogle(Fake):
    """One operating account."""

    name = "google"

    def __init__(self, token: str, unix_seconds: Callable[[], float] | None = None) -> None:
        super().__init__(token, unix_seconds)
        self._queued: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
        self._unprocessed: list[str] = []
        self._known: set[tuple[str, str]] = set()
        self.refused_later: dict[str, str] = {}
        """Visible id -> why it does not count after all, as the status of its request says: a reason, or some."""
        self.is_processing = False
        """Whether what is taken waits for `process`, and nothing of it is known before; else there is no waiting."""

        self.reports_no_counts = False
        """Whether the status of a request is a word alone: neither how many there were, nor what was wrong."""

    def take(self, ask: Ask) -> Reply:
        """Takes all events of a request, or none."""
        if ask.headers.get("authorization") != f"Bearer {self.token}":
            return _status(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        if ask.path.endswith("/requestStatus:retrieve"):
            return self._report(ask.query.get("requestId", ""))
        said = ask.json()
        if not ask.path.endswith("/events:ingest") or not isinstance(said, dict):
            return _status(404, "NOT_FOUND", "Not found.")
        destinations, events = said.get("destinations") or [], list(map(_in_words, said.get("events") or []))
        violations = self._of_request(said, destinations, events)
        references = {one.get("reference") for one in destinations if isinstance(one, dict)}
        for place, event in enumerate(events):
            why = _why_invalid(event, references)
            if why is None and event["transactionId"] in self.poison:
                why = ("user_data", "INVALID_EVENT")
            if why:
                violations.append({"field": f"events[{place}].{why[0]}", "description": why[1], "reason": why[1]})
        if violations:
            return _status(400, "INVALID_ARGUMENT", "There was a problem with the request.", violations)
        request_id = f"r-{self.requests}"
        if not said.get("validateOnly"):
            owners = {one["reference"]: str(one.get("operatingAccount")) for one in destinations}
            self._queued[request_id] = [(_known_as(event, owners), event) for event in events]
            self._unprocessed.append(request_id)
            if not self.is_processing:
                self._process(request_id)
        return Reply(200, {"requestId": request_id})

    def process(self, *request_ids: str) -> None:
        """Processes what waits, in this order; all of it, in the order in which it came, where none is named."""
        with self.lock:
            for request_id in request_ids or tuple(self._unprocessed):
                self._process(request_id)

    def _process(self, request_id: str) -> None:
        self._unprocessed.remove(request_id)
        for known_as, event in self._queued[request_id]:
            if self.refused_later.get(str(event["transactionId"]), "") in _COUNTS_ALREADY:
                self._count(event, known_as)

    def _report(self, request_id: str) -> Reply:
        """Says of how many events of a request why they do not count, and never of which."""
        if request_id not in self._queued:
            return _status(404, "NOT_FOUND", "Not found.")
        if self.is_processing and request_id in self._unprocessed:
            return Reply(200, {"requestStatusPerDestination": [{"requestStatus": "PROCESSING"}]})
        ids = [str(event["transactionId"]) for _, event in self._queued[request_id]]
        refused = [self.refused_later[one] for one in ids if one in self.refused_later]
        counts = Counter(reason for reasons in refused for reason in reasons.split())
        errors = [
            {"reason": f"PROCESSING_ERROR_REASON_{reason}", "recordCount": str(count)}
            for reason, count in counts.items()
        ]
        status = "SUCCESS" if not errors else "FAILED" if len(refused) == len(ids) else "PARTIAL_SUCCESS"
        if self.reports_no_counts:
            return Reply(200, {"requestStatusPerDestination": [{"requestStatus": status}]})
        said = {"requestStatus": status, "eventsIngestionStatus": {"recordCount": str(len(ids))}}
        if errors:
            said["errorInfo"] = {"errorCounts": errors}
        return Reply(200, {"requestStatusPerDestination": [said]})

    def too_many(self) -> Reply:
        """Too many calls have a status of their own."""
        return _status(429, "RESOURCE_EXHAUSTED", "Quota exceeded.")

    @staticmethod
    def _of_request(said: Mapping[str, Any], destinations: list[Any], events: list[Any]) -> list[dict[str, str]]:
        found = []
        if not 0 < len(destinations) <= _MOST_DESTINATIONS:
            found.append({"field": "destinations", "description": "count", "reason": "REQUIRED_FIELD_MISSING"})
        if not 0 < len(events) <= _MOST_EVENTS:
            found.append({"field": "events", "description": "count", "reason": "TOO_MANY_EVENTS"})
        has_people = any(isinstance(one, dict) and "userData" in one for one in events)
        if has_people and _word(said.get("encoding"), _ENCODINGS) not in _ENCODINGS[1:]:
            found.append({"field": "encoding", "description": "required", "reason": "REQUIRED_FIELD_MISSING"})
        return found

    def _count(self, event: Mapping[str, Any], known_as: str) -> None:
        visible_id = str(event["transactionId"])
        before = self.events.get(visible_id, {})
        is_known = (known_as, visible_id) in self._known or "tag" in before
        if "lastUpdatedTimestamp" in event:
            is_known = is_known and event.get("eventSource") not in _UNADJUSTED and _names_the_same(event, before)
        self._known.add((known_as, visible_id))
        if is_known:  # not again, but what it is worth now
            self.repeats += 1
            self.note(visible_id, event, event.get("conversionValue"))
            return
        self.count(visible_id, event, event.get("conversionValue"))


def _word(value: Any, words: Sequence[str]) -> Any:
    """Returns the word of an enum whose number may stand for it."""
    return words[value] if type(value) is int and 0 <= value < len(words) else value


def _in_words(event: Any) -> Any:
    """Returns an event as we would write it."""
    if not isinstance(event, dict) or "eventSource" not in event:
        return event
    return {**event, "eventSource": _word(event["eventSource"], _SOURCES)}


def _known_as(event: Mapping[str, Any], owners: Mapping[str, str]) -> str:
    """Returns what a transaction is known by beside its id: the accounts and conversion actions that it is for."""
    references = sorted(event.get("destinationReferences") or owners)
    return " ".join(f"{owners[one]}/{one}" for one in references)


def _names_the_same(event: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    """Tells whether an event is of the click and person that one was of before, as far as that one said."""
    clicks, clicks_before = (
        {name: one for name, one in (said.get("adIdentifiers") or {}).items() if name in _CLICKS}
        for said in (event, before)
    )
    return clicks == clicks_before and before.get("userData") in (None, event.get("userData"))


def _why_invalid(event: Any, references: set[Any]) -> tuple[str, str] | None:
    """Returns field and reason; None if nothing is wrong."""
    if not isinstance(event, dict) or not _TIME.fullmatch(str(event.get("eventTimestamp", ""))):
        return "event_timestamp", "REQUIRED_FIELD_MISSING"
    if not event.get("transactionId"):
        return "transaction_id", "REQUIRED_FIELD_MISSING"
    if not set(event.get("destinationReferences") or references) <= references:
        return "destination_references", "INVALID_DESTINATION"
    if event.get("eventSource") not in (None, *_SOURCES[1:]):
        return "event_source", "INVALID_ENUM_VALUE"
    if "conversionValue" in event and (number(event["conversionValue"]) is None or not event.get("currency")):
        return "conversion_value", "INVALID_CURRENCY_CODE"
    identifiers = (event.get("userData") or {}).get("userIdentifiers") or []
    if not event.get("adIdentifiers") and not identifiers:
        return "user_data", "NO_IDENTIFIERS_PROVIDED"
    if len(identifiers) > _MOST_IDENTIFIERS:
        return "user_data.user_identifiers", "TOO_MANY_USER_IDENTIFIERS"
    return None if all(map(_is_identifier, identifiers)) else ("user_data.user_identifiers[0]", "INVALID_SHA256_FORMAT")


def _is_identifier(one: Any) -> bool:
    if not isinstance(one, dict) or len(one) != 1:
        return False
    address = one.get("address")
    if address is None:
        return is_hash(one.get("emailAddress", one.get("phoneNumber")))
    return all(is_hash(address.get(name)) for name in _HASHED_NAMES) and bool(
        address.get("regionCode") and address.get("postalCode")
    )


def _status(status: int, name: str, message: str, violations: list[dict[str, str]] | None = None) -> Reply:
    details: list[dict[str, Any]] = [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": violations[0]["reason"] if violations else name,
            "domain": "datamanager.googleapis.com",
            "metadata": {"requestId": "r-refused"},
        }
    ]
    if violations:
        details.append({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations})
    return Reply(status, {"error": {"code": status, "message": message, "status": name, "details": details}})
