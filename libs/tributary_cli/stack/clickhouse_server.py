"""A real ClickHouse for the local stack, from the wheel `chdb-core`, on a native and an HTTP port.

It has everything Tributary uses on one node; users, row policies and replication it has not (see the chart for those).
"""

from __future__ import annotations

import http.client
import os
import sys
from importlib.util import find_spec
from pathlib import Path

from tributary_cli.errors import StackError
from tributary_cli.stack.ports import HOST
from tributary_cli.stack.process import ChildProcess

DATABASE = "tributary"
_TIMEOUT_SECONDS = 30
_CONFIG = """<clickhouse>
    <tcp_port>{port}</tcp_port>
    <http_port>{http_port}</http_port>
    <listen_host>{host}</listen_host>
    <mark_cache_size>268435456</mark_cache_size>
    <background_pool_size>4</background_pool_size>
    <memory_worker_period_ms>1000</memory_worker_period_ms>
    <users_config>users.xml</users_config>
</clickhouse>
"""
_USERS = """<clickhouse>
    <profiles>
        <default>
            <compile_expressions>0</compile_expressions>
            <compile_aggregate_expressions>0</compile_aggregate_expressions>
            <compile_sort_description>0</compile_sort_description>
        </default>
    </profiles>
    <users>
        <default>
            <password></password>
            <networks><ip>{host}</ip></networks>
            <profile>default</profile>
            <quota>default</quota>
        </default>
    </users>
    <quotas><default></default></quotas>
</clickhouse>
"""  # to compile an expression takes far longer than to run it on as few rows as a laptop has


class ClickHouseServer(ChildProcess):
    """A ClickHouse on loopback ports, its files in one directory.

    Attributes:
        port: Where it speaks the native protocol.
        http_port: Where it speaks HTTP.
        url: `clickhouse://user@host:port/database` of the native protocol.
    """

    def __init__(self, directory: Path, port: int, http_port: int) -> None:
        """Describes the server; nothing runs before `start`.

        Args:
            directory: For its data, configuration and log; made if missing, kept when it stops.
            port: Where it shall speak the native protocol.
            http_port: Where it shall speak HTTP.
        """
        if find_spec("chdb") is None:
            raise StackError(
                "The wheel chdb-core, which carries ClickHouse, is missing.", "pip install 'tributary[local]'"
            )
        self.port = port
        self.http_port = http_port
        self.url = url_of(port)
        self._home = directory
        super().__init__(
            "ClickHouse",
            [sys.executable, "-m", "tributary_cli.stack.clickhouse_process", str(directory.resolve() / "data")],
            log_file=directory / "clickhouse.log",
            is_ready=self.is_answering,
            directory=directory,
            # The working directory holds config.xml; nothing in it may be taken for a module.
            environment={**os.environ, "PYTHONSAFEPATH": "1"},
        )

    def start(self) -> None:
        """Writes its configuration and starts the server; returns at once."""
        self._home.mkdir(parents=True, exist_ok=True)
        config = _CONFIG.format(port=self.port, http_port=self.http_port, host=HOST)
        (self._home / "config.xml").write_text(config)
        (self._home / "users.xml").write_text(_USERS.format(host=HOST))
        super().start()

    def wait_until_ready(self, timeout_seconds: float = 60) -> None:
        """Returns when the server answers and has the database."""
        super().wait_until_ready(timeout_seconds)
        self.execute(f"CREATE DATABASE IF NOT EXISTS {DATABASE}", database="default")

    def execute(self, statement: str, database: str = DATABASE) -> str:
        """Runs one statement over HTTP, for set-up and tests; the services use the native protocol.

        Raises:
            StackError: It failed; with what the server said.
        """
        connection = http.client.HTTPConnection(HOST, self.http_port, timeout=_TIMEOUT_SECONDS)
        try:
            connection.request("POST", f"/?default_format=TabSeparated&database={database}", statement.encode())
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        except OSError as error:
            raise StackError(f"ClickHouse did not answer: {error}.", f"Its log is {self.log_file}.") from error
        finally:
            connection.close()
        if answer.status != http.HTTPStatus.OK:
            raise StackError("ClickHouse refused a statement.", detail=text)
        return text

    def is_answering(self) -> bool:
        """Says whether it answers a ping."""
        connection = http.client.HTTPConnection(HOST, self.http_port, timeout=1)
        try:
            connection.request("GET", "/ping")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def url_of(port: int) -> str:
    """Returns the URL of a ClickHouse on a loopback port, and of the database there."""
    return f"clickhouse://default@{HOST}:{port}/{DATABASE}"
