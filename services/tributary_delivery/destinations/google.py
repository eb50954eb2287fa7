"""Google's Data Manager API: one request is for one conversion action."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tributary_delivery.destinations import google_answer, google_event, google_reports
from tributary_delivery.destinations.adapter import Answer, Mapped, Outgoing, Request, Trial, Unmappable, Verdict
from tributary_delivery.destinations.google_clicks import MOST_ID_CHARACTERS
from tributary_delivery.destinations.json_bytes import json_bytes
from tributary_delivery.destinations.policy import policy_of
from tributary_delivery.destinations.reporting import RequestReport
from tributary_delivery.destinations.trials import taken
from tributary_runtime.ad_destinations import GoogleDestination

TOKEN_URL: Final = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address


class Google:
    """The language of one operating account.

    Args:
        settings: What `workspaces.yaml` says of it.
    """

    def __init__(self, settings: GoogleDestination) -> None:
        self._settings = settings
        self.policy = policy_of(
            settings,
            restates=True,
            retracts_by_value=True,
            repeats_identifiers=True,
            id_is_order=True,
            most_id_characters=MOST_ID_CHARACTERS,
        )

    def _head(self, *actions: str) -> bytes:
        head = {"destinations": [self._action(action) for action in actions], "encoding": "HEX"}
        return json_bytes(head)[:-1] + b',"events":['

    def _action(self, action: str) -> dict[str, Any]:
        settings = self._settings
        owner, login = settings.operating_account, settings.login_account
        named: dict[str, Any] = {
            "reference": action,
            "operatingAccount": {"accountType": "GOOGLE_ADS", "accountId": owner},
            "productDestinationId": action,
        }
        if login is not None:
            named["loginAccount"] = {"accountType": "GOOGLE_ADS", "accountId": login}
        return named

    def event(self, outgoing: Outgoing) -> Mapped | Unmappable:
        """Says one conversion, or the new total of one."""
        return google_event.event(outgoing, self._settings)

    def request(self, events: Sequence[bytes], token: str, group: str = "") -> Request:
        """Puts events of one conversion action into one request: what is reported on it is then about them alone."""
        del token  # needs no proof
        path = f"/{self._settings.api_version}/events:ingest"
        return Request(path, self._head(group) + b",".join(events) + b"]}")

    def classify(self, answer: Answer, events: int) -> Verdict:
        """Tells what an answer means."""
        return google_answer.classify(answer, events)

    def trial(self, examples: Sequence[Mapping[str, Any]], token: str, code: str) -> Trial:
        """Has it validated: what is only validated is not counted."""
        del token, code  # needs no proof; there is no test view
        events = b",".join(map(json_bytes, examples))
        path = f"/{self._settings.api_version}/events:ingest"
        actions = dict.fromkeys(action for example in examples for action in example["destinationReferences"])
        request = Request(path, self._head(*actions) + events + b'],"validateOnly":true}')
        shows = "an example was validated for every conversion action (validateOnly)"
        return Trial(request, shows, taken(self.classify, len(examples)))

    def report_request(self, request_id: str) -> Request:
        """Asks what became of a request that was queued."""
        path = f"/{self._settings.api_version}/requestStatus:retrieve"
        return Request(path, b"", query={"requestId": request_id}, method="GET")

    def read_report(self, answer: Answer) -> RequestReport | None:
        """Returns what it says."""
        return google_reports.read(answer)
