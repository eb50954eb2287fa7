"""Destinations as their documentation says they are, for the demo and the tests: each remembers what it counts.

```
fake      what all share: a request, a reply, what was counted, what is known again and for how long
google google_ads microsoft meta linkedin tiktok snap pinterest reddit      ad platforms: what is refused and how
hubspot salesforce                  CRMs: an object is what it is told last
webhook                             a receiver as a customer would write it
http      answers on loopback       server      answers for a fake, and can be told to fail as networks do
```
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tributary_cli.demo.fakes.fake import Fake
from tributary_cli.demo.fakes.google import FakeGoogle
from tributary_cli.demo.fakes.google_ads import FakeGoogleAds
from tributary_cli.demo.fakes.hubspot import FakeHubSpot
from tributary_cli.demo.fakes.linkedin import FakeLinkedIn
from tributary_cli.demo.fakes.meta import FakeMeta
from tributary_cli.demo.fakes.microsoft import FakeMicrosoft
from tributary_cli.demo.fakes.pinterest import FakePinterest
from tributary_cli.demo.fakes.reddit import FakeReddit
from tributary_cli.demo.fakes.salesforce import FakeSalesforce
from tributary_cli.demo.fakes.snap import FakeSnap
from tributary_cli.demo.fakes.tiktok import FakeTikTok
from tributary_cli.demo.fakes.webhook import FakeWebhook

FAKES: Final[Mapping[str, type[Fake]]] = {
    "google": FakeGoogle,
    "google_ads": FakeGoogleAds,
    "hubspot": FakeHubSpot,
    "linkedin": FakeLinkedIn,
    "meta": FakeMeta,
    "microsoft": FakeMicrosoft,
    "pinterest": FakePinterest,
    "reddit": FakeReddit,
    "salesforce": FakeSalesforce,
    "snap": FakeSnap,
    "tiktok": FakeTikTok,
    "webhook": FakeWebhook,
}
"""Type, as in `workspaces.yaml` -> its fake."""

__all__ = ["FAKES", "Fake"]
