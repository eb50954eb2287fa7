"""Makes the sender of a destination from what `workspaces.yaml` says of it."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from tributary_delivery.batches import BatchSender
from tributary_delivery.destinations import ADAPTERS, DESTINATIONS, TOKEN_URLS
from tributary_delivery.destinations.adapter import Adapter, Home
from tributary_delivery.destinations.oauth_tokens import ObtainedToken, TokenStore
from tributary_delivery.destinations.reporting import Reporting
from tributary_delivery.destinations.tokens import GivenToken, Tokens
from tributary_delivery.destinations.webhook import Webhook
from tributary_delivery.exchange import Exchange
from tributary_delivery.key_consents import KeyConsents
from tributary_delivery.lead_objects import NameStores
from tributary_delivery.ledger import Memory
from tributary_delivery.match_keys import MatchKeyOpener
from tributary_delivery.report_asker import ReportAsker
from tributary_delivery.report_door import Asker
from tributary_delivery.sender import OneByOne, Sender
from tributary_delivery.trial_runs import BatchTrialRun, TrialRun, WebhookTrialRun
from tributary_domain.click_digests import click_key
from tributary_runtime.batch_destinations import BatchDestination
from tributary_runtime.checked_http import CheckedHttp
from tributary_runtime.clock import Clock
from tributary_runtime.destination_settings import DestinationSettings, WebhookDestination
from tributary_runtime.public_addresses import Lookup
from tributary_runtime.workspaces import Workspace
from tributary_storage.redis.delivery_job import Lane

_AGENT = "Tributary/1"


def homes(find: Callable[[str], Workspace | None]) -> Callable[[str], Home]:
    """Returns what tells where a workspace is, from what the file says of it; of one that it does not name, nothing."""

    def home_of(workspace_id: str) -> Home:
        workspace = find(workspace_id)
        return Home() if workspace is None else Home(workspace.default_region or "", workspace.reporting.zone)

    return home_of


def click_keys(find: Callable[[str], Workspace | None]) -> Callable[[str], bytes]:
    """Returns what tells under which key a workspace's click ids are claimed; of one that the file lacks, no key."""

    def key_of(workspace_id: str) -> bytes:
        workspace = find(workspace_id)
        return b"" if workspace is None else click_key(workspace.pepper.reveal().encode())

    return key_of


@dataclass(frozen=True, slots=True)
class Senders:
    """What all senders share."""

    opener: MatchKeyOpener
    consents: KeyConsents
    memory: Memory
    names: NameStores
    home_of: Callable[[str], Home]
    """Workspace -> where it is."""
    clock: Clock
    call_seconds: float
    """How long one call may take."""
    tls: ssl.SSLContext | None = None
    """How certificates are checked; made once for many destinations, it is slow to make."""
    lookup: Lookup | None = None
    """Asks the name server; the system's unless given."""
    tokens: TokenStore | None = None
    """Where tokens are shared that were obtained with a refresh token; None: this process is alone."""

    def make(self, lane: Lane, settings: DestinationSettings) -> Sender:
        """Makes one; nothing connects.

        Raises:
            TypeError: There is no such type of destination.
        """
        if isinstance(settings, WebhookDestination):
            make = DESTINATIONS[settings.type]
            return OneByOne(make(settings, call_seconds=self.call_seconds, tls=self.tls, lookup=self.lookup))
        if isinstance(settings, BatchDestination):
            return self._batches(lane, settings)
        raise TypeError(f"no destination of type {settings.type}")

    def trial_run(self, settings: DestinationSettings, code: str) -> TrialRun:
        """Makes what tries a destination out.

        Raises:
            TypeError: There is no such type of destination.
        """
        if isinstance(settings, WebhookDestination):
            webhook = Webhook(settings, call_seconds=self.call_seconds, tls=self.tls, lookup=self.lookup)
            return WebhookTrialRun(settings, webhook, self.clock)
        if isinstance(settings, BatchDestination):
            adapter = ADAPTERS[settings.type](settings)
            tokens = self._tokens(settings)
            exchange = self._exchange(settings, adapter, tokens)
            return BatchTrialRun(settings, adapter, exchange, tokens, self.clock, code)
        raise TypeError(f"no destination of type {settings.type}")

    def asker(self, settings: DestinationSettings) -> Asker:
        """Makes what asks a destination for its reports.

        Raises:
            TypeError: It makes none.
        """
        if isinstance(settings, BatchDestination):
            adapter = ADAPTERS[settings.type](settings)
            if isinstance(adapter, Reporting):
                tokens = self._tokens(settings)
                return ReportAsker(adapter, self._exchange(settings, adapter, tokens), tokens)
        raise TypeError(f"a destination of type {settings.type} reports nothing")

    def _batches(self, lane: Lane, settings: BatchDestination) -> BatchSender:
        adapter = ADAPTERS[settings.type](settings)
        tokens = self._tokens(settings)
        exchange = self._exchange(settings, adapter, tokens)
        shared = (self.opener, self.consents, self.memory, self.names, self.home_of, self.clock)
        return BatchSender(lane, settings, adapter, exchange, tokens, *shared)

    def _exchange(self, settings: BatchDestination, adapter: Adapter, tokens: Tokens) -> Exchange:
        def make_http(url: httpx.URL) -> CheckedHttp:
            return CheckedHttp(
                url,
                call_seconds=self.call_seconds,
                allow_private=settings.allow_private_addresses,
                agent=_AGENT,
                tls=self.tls,
                lookup=self.lookup,
            )

        about = (settings.base_url, adapter.policy.credential_place, make_http, lambda: tokens.home)
        return Exchange(*about, self.clock, call_seconds=self.call_seconds)

    def _tokens(self, settings: BatchDestination) -> Tokens:
        if settings.oauth is not None:
            return ObtainedToken(
                settings.oauth,
                settings,
                TOKEN_URLS.get(settings.type, settings.base_url),
                self.tokens,
                call_seconds=self.call_seconds,
                clock=self.clock,
                tls=self.tls,
                lookup=self.lookup,
            )
        if settings.access_token is None:
            raise TypeError(f"a destination of type {settings.type} without a credential")
        return GivenToken(settings.access_token)
