"""The demo's `workspaces.yaml`: one shop, one key, a webhook and ad destinations."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import yaml

from tributary_cli.demo.destinations import declared
from tributary_cli.demo.probes import PROBE_NAME
from tributary_runtime.authentication import new_key

WORKSPACE: Final = "demo"


@dataclass(frozen=True, slots=True)
class DemoWorkspace:
    """What opens and signs the demo's workspace; made anew for every run."""

    api_key: str
    key_id: str
    key_sha256: str
    webhook_secret: str

    @classmethod
    def make(cls) -> DemoWorkspace:
        """Makes a key and a secret."""
        key = new_key()
        secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        return cls(api_key=key.key.get_secret_value(), key_id=key.id, key_sha256=key.sha256, webhook_secret=secret)

    def render(self, webhook_url: str, ad_urls: Mapping[str, str]) -> str:
        """Returns the text of the file.

        Args:
            webhook_url: Where the receiver is.
            ad_urls: Kind of ad destination -> where its fake is.
        """
        names = {"purchase": "REVENUE", "signup": "LEAD", PROBE_NAME: "MICRO"}
        workspace = {
            "id": WORKSPACE,
            "name": "Demo shop",
            "pepper": {"value": secrets.token_hex(32)},
            "data_key": {"value": base64.b64encode(secrets.token_bytes(32)).decode()},
            "api_keys": [
                {"id": self.key_id, "sha256": self.key_sha256, "scopes": ["ingest", "backfill", "query", "admin"]}
            ],
            "default_region": "DE",
            "reporting": {"currency": "EUR", "time_zone": "Europe/Berlin"},
            "own_domains": ["shop.example"],
            "conversions": [{"name": name, "role": role, "primary": True} for name, role in names.items()],
            "attribution": [{"lookback_days": 30}],
            "destinations": [
                {
                    "id": "shop-backend",
                    "type": "webhook",
                    "url": webhook_url,
                    "secret": {"value": self.webhook_secret},
                    "conversions": {name: {} for name in names},
                    "allow_private_addresses": True,
                    "quota": {"requests_per_minute": 60_000},
                },
                *(declared(kind, url) for kind, url in ad_urls.items()),
            ],
        }
        return yaml.safe_dump({"workspaces": [workspace]}, sort_keys=False)
