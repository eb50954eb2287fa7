"""The five services as processes: `python -m tributary_<service>`, ready when their gRPC health says so."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from tributary_cli.errors import LossError
from tributary_cli.stack.health import Health, check_health
from tributary_cli.stack.loss_refusals import refused_role
from tributary_cli.stack.ports import HOST, is_listening
from tributary_cli.stack.process import ChildProcess

STOP_ORDER = (("ingestion", "query"), ("dedup", "attribution", "delivery"))
"""Who asks stops before who answers; those of one step stop side by side."""

_PROBE_SECONDS = 1.0


class ServiceProcess(ChildProcess):
    """One service of the local stack.

    Attributes:
        address: Where it serves gRPC, host:port.
    """

    def __init__(self, service: str, port: int, log_file: Path, environment: Mapping[str, str]) -> None:
        """Describes the process; nothing runs before `start`.

        Args:
            service: One of the five.
            port: Where it shall serve.
            log_file: Where its log goes.
            environment: Its whole environment, but for where it listens. Readiness is asked where it serves health
                alone, if it does.
        """
        self.address = f"{HOST}:{port}"
        probed = environment.get("TRIBUTARY_HEALTH_LISTEN", self.address)
        super().__init__(
            service,
            [sys.executable, "-m", f"tributary_{service}"],
            log_file=log_file,
            is_ready=lambda: is_listening(port) and check_health(probed, service, _PROBE_SECONDS) is Health.SERVING,
            environment={**environment, "TRIBUTARY_LISTEN": self.address},
        )

    def require_hope(self) -> None:
        """Returns unless one of its guards found that a Redis lost data: nothing but a person's word ends that.

        Raises:
            LossError: One did.
        """
        role = refused_role(self.log_of_this_run())
        if role is not None:
            raise LossError(
                f"{self.name} refuses to work: the Redis of role {role} lacks what ClickHouse knows was in it.",
                detail=f"Its log is {self.log_file}.",
            )
