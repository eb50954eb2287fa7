"""ClickHouse behind an async front: a small thread pool, one connection per thread, never on the loop.

The driver blocks and serves one statement per connection. A connection that failed is thrown away, the next statement
opens another. An outage is `StorageUnavailableError`: leave the work where it is and try again; so is what an operator
has to mend (a migration, a password), because the work is not to blame. What ClickHouse refuses is
`StatementRefusedError`: a bug of ours, rows that break a promise, or (`StatementTooLargeError`) too much at once, which
is to be tried in smaller parts. Fails closed: an insert that returned is stored.
"""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from tributary_runtime.errors import PreconditionError, StorageUnavailableError, TributaryError
from tributary_runtime.traces import span

# The driver makes tables of all 146 000 dates of four centuries when it is imported; told so
# before that, it makes those it meets.
os.environ.setdefault("CLICKHOUSE_DRIVER_LASY_DATE_LUT", "none")

from clickhouse_driver import Client, errors

Row = tuple[Any, ...]
Answer = TypeVar("Answer")

DEFAULT_PORT: Final = 9000
DEFAULT_TLS_PORT: Final = 9440

_OUTAGES: Final = frozenset(
    {
        errors.ErrorCodes.TIMEOUT_EXCEEDED,
        errors.ErrorCodes.TOO_SLOW,
        errors.ErrorCodes.TOO_MANY_SIMULTANEOUS_QUERIES,
        errors.ErrorCodes.NO_FREE_CONNECTION,
        errors.ErrorCodes.SOCKET_TIMEOUT,
        errors.ErrorCodes.NETWORK_ERROR,
        errors.ErrorCodes.NO_ZOOKEEPER,
        errors.ErrorCodes.ABORTED,
        errors.ErrorCodes.MEMORY_LIMIT_EXCEEDED,  # but for `_OWN_MEMORY`
        errors.ErrorCodes.TABLE_IS_READ_ONLY,
        errors.ErrorCodes.NOT_ENOUGH_SPACE,
        errors.ErrorCodes.TOO_MANY_PARTS,
        errors.ErrorCodes.ALL_CONNECTION_TRIES_FAILED,
        errors.ErrorCodes.TOO_LESS_LIVE_REPLICAS,
        errors.ErrorCodes.UNKNOWN_STATUS_OF_INSERT,
        errors.ErrorCodes.UNFINISHED,  # a change of rows that met an error on its way, or was taken away
        errors.ErrorCodes.KEEPER_EXCEPTION,
        errors.ErrorCodes.QUERY_WAS_CANCELLED,
    }
)
"""What passes by itself, and is worth the same statement again."""

_OWN_MEMORY: Final = re.compile(r"\bQuery memory limit exceeded|\(for query\)")
"""What ClickHouse says of a statement that reached its own limit, in newer and older versions: it will again. Those of
the server and of a user are shared with others."""

_MISSING: Final = frozenset({errors.ErrorCodes.UNKNOWN_TABLE, errors.ErrorCodes.UNKNOWN_DATABASE})

_ACCESS: Final = frozenset({192, 193, 194, 497, 516})
"""Unknown user, wrong or missing password, access denied, authentication failed; the driver has no names for all."""


class StatementRefusedError(TributaryError):
    """ClickHouse refuses a statement or its rows: a bug, never an outage.

    The cause says what ClickHouse said: it may repeat values, so it is for logs and not for callers.
    """

    default_reason = "STATEMENT_REFUSED"


class StatementTooLargeError(StatementRefusedError):
    """A statement needs more memory than one may use: it is refused each time, and may pass where it asks for less."""

    code = PreconditionError.code
    default_reason = "STATEMENT_TOO_LARGE"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a ClickHouse database is, and as whom to open it."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str
    is_secure: bool

    @classmethod
    def parse(cls, url: str | SecretStr) -> Address:
        """Reads `clickhouse://user:password@host:port/database` (`clickhouses://` for TLS).

        Raises:
            ValueError: It is no such URL. The message does not repeat it: it may hold a password.
        """
        text = url.get_secret_value() if isinstance(url, SecretStr) else url
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            raise ValueError("the URL of ClickHouse cannot be read") from None
        if parts.scheme not in ("clickhouse", "clickhouses") or not parts.hostname:
            raise ValueError("the URL of ClickHouse must look like clickhouse://user:password@host:9000/database")
        is_secure = parts.scheme == "clickhouses"
        return cls(
            host=parts.hostname,
            port=port or (DEFAULT_TLS_PORT if is_secure else DEFAULT_PORT),
            user=unquote(parts.username or "default"),
            password=unquote(parts.password or ""),
            database=unquote(parts.path.strip("/")) or "default",
            is_secure=is_secure,
        )


class Given(NamedTuple):
    """Rows that go with a statement, for it alone."""

    name: str
    """What the statement calls them."""
    structure: Sequence[tuple[str, str]]
    """Name and type of each column."""
    data: Sequence[Sequence[Any]]
    """One sequence per row."""


_SETTINGS: Final = {
    # Values are part of the text: 1000 identifiers of one person, wherever a statement asks for them, are more than the
    # default of 256 kB.
    "max_query_size": 64 * 1024 * 1024,
}

_INSERT_SETTINGS: Final = {
    # Statistics of every column of every small part cost a quarter of an insert; merges make them all the same.
    "materialize_statistics_on_insert": 0,
    # A backfill may bring more months at once than the default of 100: refused, it would hold up everybody for ever.
    "max_partitions_per_insert_block": 0,
}


class ClickHouse:
    """Statements to one database. Made by `connect`; used from one event loop."""

    def __init__(self, address: Address, *, name: str, timeout_seconds: float, connections: int) -> None:
        """Describes the connections; the first statement opens the first."""
        self.address = address
        self._name = name
        self._timeout_seconds = timeout_seconds
        self._pool = ThreadPoolExecutor(connections, thread_name_prefix=f"clickhouse-{name}")
        self._mine = threading.local()
        self._opened: list[Client] = []

    async def execute(
        self,
        statement: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        raw_strings: bool = False,
        given: Given | None = None,
    ) -> list[Row]:
        """Runs a statement and returns its rows.

        Args:
            statement: One statement; with parameters, a literal `%` is doubled.
            parameters: Values for `%(name)s`, escaped by the driver.
            raw_strings: Whether String columns come as bytes: what is protobuf is no text.
            given: Rows that the statement may read as a table.

        Raises:
            StorageUnavailableError: No answer, or not now. Whether the statement ran is unknown.
            StatementRefusedError: ClickHouse will never run it.
            StatementTooLargeError: It needs more memory than it may use.
        """
        with span("clickhouse query"):
            settings = {"strings_as_bytes": raw_strings}
            tables = [given._asdict()] if given is not None else None
            answer: list[Row] = await self._run(
                lambda client: client.execute(statement, parameters, settings=settings, external_tables=tables)
            )
            return answer

    async def insert(self, table: str, columns: Sequence[str], values: Sequence[Sequence[Any]]) -> int:
        """Inserts a block of rows and returns how many, once ClickHouse has acknowledged it.

        May run twice: every table replaces a row that is written again.

        Args:
            table: One of ours, never a caller's text.
            columns: Which columns; the others take their defaults.
            values: One sequence per column, all of one length; times as microseconds.

        Raises:
            StorageUnavailableError: As for `execute`.
            StatementRefusedError: As for `execute`; a violated CONSTRAINT among others.
        """
        rows = len(values[0]) if values else 0
        if not rows:
            return 0
        statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES"
        with span("clickhouse insert", table=table, rows=rows):
            await self._run(lambda client: client.execute(statement, values, columnar=True, settings=_INSERT_SETTINGS))
        return rows

    async def close(self) -> None:
        """Waits for what runs and closes all connections."""
        await asyncio.to_thread(self._pool.shutdown)
        for client in self._opened:
            client.disconnect()

    async def _run(self, work: Callable[[Client], Answer]) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._work, work)

    def _work(self, work: Callable[[Client], Answer]) -> Answer:
        client = self._client()
        try:
            return work(client)
        except errors.ServerException as error:
            raise _translate(error) from error
        except errors.PartiallyConsumedQueryError as error:
            client.disconnect()
            raise StorageUnavailableError(_SILENT, metadata=_STORE) from error
        except (errors.NetworkError, errors.SocketTimeoutError, EOFError, OSError) as error:
            client.disconnect()
            raise StorageUnavailableError(_SILENT, metadata=_STORE) from error
        except errors.Error as error:
            client.disconnect()
            message = "The driver could not send a statement to ClickHouse, or not read the answer."
            raise StatementRefusedError(message, metadata=_STORE) from error

    def _client(self) -> Client:
        client: Client | None = getattr(self._mine, "client", None)
        if client is None:
            at = self.address
            client = self._mine.client = Client(
                at.host,
                port=at.port,
                database=at.database,
                user=at.user,
                password=at.password,
                secure=at.is_secure,
                client_name=f"tributary-{self._name}",
                connect_timeout=min(self._timeout_seconds, 3.0),
                send_receive_timeout=self._timeout_seconds,
                sync_request_timeout=min(self._timeout_seconds, 3.0),
                compression=False,
                settings={**_SETTINGS, "max_execution_time": max(1, round(self._timeout_seconds))},
            )
            self._opened.append(client)
        return client


@asynccontextmanager
async def connect(
    url: str | SecretStr, *, name: str, timeout_seconds: float = 10.0, connections: int = 4
) -> AsyncIterator[ClickHouse]:
    """Opens a ClickHouse, and closes it on exit.

    Connects lazily: one that is down shows at the first statement, as `StorageUnavailableError`.

    Args:
        url: `clickhouse://user:password@host:port/database`.
        name: Whose connections these are, for ClickHouse's own logs.
        timeout_seconds: How long one statement may take.
        connections: How many statements may run at once.

    Raises:
        ValueError: The URL cannot be read.
    """
    clickhouse = ClickHouse(Address.parse(url), name=name, timeout_seconds=timeout_seconds, connections=connections)
    try:
        yield clickhouse
    finally:
        with suppress(OSError):
            await clickhouse.close()


_STORE: Final = {"store": "clickhouse"}
_SILENT: Final = "ClickHouse did not answer; try again."
_TOO_LARGE: Final = (
    "ClickHouse stopped a statement that needs more memory than one may use. Ask for less at once: fewer days, and of "
    "reconciliation more slices; or raise max_memory_usage of the user of TRIBUTARY_CLICKHOUSE_URL, where that is less."
)


def _translate(error: errors.ServerException) -> TributaryError:
    metadata = {**_STORE, "code": str(error.code)}
    if error.code == errors.ErrorCodes.MEMORY_LIMIT_EXCEEDED and _OWN_MEMORY.search(error.message):
        return StatementTooLargeError(_TOO_LARGE, metadata=metadata)
    if error.code in _OUTAGES:
        return StorageUnavailableError("ClickHouse cannot do this now; try again.", metadata=metadata)
    if error.code in _MISSING:
        message = "ClickHouse lacks a table of Tributary's; run `tributary migrate`."
        return StorageUnavailableError(message, reason="NOT_MIGRATED", metadata=metadata)
    if error.code in _ACCESS:
        message = "ClickHouse lets nobody in by that name and password; see TRIBUTARY_CLICKHOUSE_URL."
        return StorageUnavailableError(message, reason="ACCESS_REFUSED", metadata=metadata)
    return StatementRefusedError("ClickHouse refused a statement of Tributary's.", metadata=metadata)
