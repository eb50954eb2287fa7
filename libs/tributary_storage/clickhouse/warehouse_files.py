"""Files in a bucket, written and read by ClickHouse: nobody else needs to reach it, or to know Parquet.

The one rule: a name has one content. A file that is written again replaces itself, byte for byte, or with less in it
where something was withdrawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit

from tributary_runtime.clock import SystemClock
from tributary_runtime.public_addresses import Addresses, RefusedAddressError
from tributary_storage.clickhouse.client import ClickHouse, StatementRefusedError
from tributary_storage.clickhouse.warehouse_selects import rows_of

_SETTINGS: Final = """SETTINGS
    s3_truncate_on_insert = 1,
    s3_retry_attempts = 2,
    s3_max_redirects = 0,
    s3_request_timeout_ms = 20000,
    parallel_distributed_insert_select = 0,
    distributed_product_mode = 'global',
    do_not_merge_across_partitions_select_final = 1,
    prefer_column_name_to_alias = 1,
    output_format_parquet_compression_method = 'zstd',
    output_format_parquet_string_as_string = 1,
    output_format_parquet_write_bloom_filter = 0"""

_S3_ERROR: Final = 499
_REFUSED_URL: Final = frozenset({36, 483, 491})
"""Bad arguments: it is no URL of a bucket; one that sends us elsewhere; and one that ClickHouse's own configuration
does not allow."""

_CONFIG: Final = (
    "access denied",
    "accessdenied",
    "forbidden",
    "does not exist in our records",  # InvalidAccessKeyId
    "invalidaccesskeyid",
    "signature we calculated does not match",  # SignatureDoesNotMatch
    "signaturedoesnotmatch",
    "bucket does not exist",  # NoSuchBucket
    "nosuchbucket",
    "token has expired",
    "must be addressed using the specified endpoint",  # PermanentRedirect
    "the region",  # AuthorizationHeaderMalformed: the region 'us-east-1' is wrong
    "code: 401",
    "code: 403",
)
_THROTTLED: Final = ("reduce your request rate", "slowdown", "slow down", "code: 429")


class FileFault(StrEnum):
    """What is to be done about a file that could not be written."""

    AGAIN = "again"
    THROTTLED = "throttled"
    CONFIG = "config"
    """Nothing, until somebody mends the configuration of the destination or the bucket."""


class FileError(Exception):
    """The bucket did not take a file, or give it. What may be there is replaced by the next attempt."""

    def __init__(self, fault: FileFault, said: str) -> None:
        """Takes what is to be done, and what the store said: no secret."""
        super().__init__(said)
        self.fault = fault
        self.said = said


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where files are, and as whom to write them."""

    url: str
    """Of the prefix, as ClickHouse calls it."""
    access_key_id: str = ""
    """Empty: ClickHouse has a role of its own."""
    secret_access_key: str = field(default="", repr=False)
    must_be_public: bool = False
    """Whether its host may be at public addresses alone. It is ClickHouse that calls: what a name server tells that
    one a moment later is for ClickHouse's own `remote_url_allow_hosts` to refuse."""


@dataclass(frozen=True, slots=True)
class FileMeasures:
    """What is in a file."""

    rows: int
    size_bytes: int
    sha256: str
    """Of its bytes, hexadecimal."""


class WarehouseFiles:
    """Every method raises `FileError` for what the bucket says, `StorageUnavailableError` if ClickHouse is silent."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        """Writes through this client, whose statements may take as long as a file does."""
        self._clickhouse = clickhouse

    async def write_table(
        self, bucket: Bucket, path: str, table: str, workspace: str, destination_id: str, batch_id: str
    ) -> FileMeasures:
        """Writes a table's rows of a batch as Parquet and returns what is there now. May run twice.

        Args:
            bucket: Where.
            path: Below the bucket's URL.
            table: Of `TABLES`.
            workspace: Of the batch.
            destination_id: Of the batch.
            batch_id: Of the batch.
        """
        parameters = {"workspace": workspace, "destination_id": destination_id, "batch_id": batch_id}
        await self._execute(bucket, path, "Parquet", "INSERT INTO FUNCTION", rows_of(table), parameters)
        [(rows,)] = await self._execute(bucket, path, "Parquet", "SELECT count() FROM")
        select = "SELECT length(raw_blob), lower(hex(SHA256(raw_blob))) FROM"
        [(size_bytes, sha256)] = await self._execute(bucket, path, "RawBLOB", select)
        return FileMeasures(rows, size_bytes, sha256)

    async def write_text(self, bucket: Bucket, path: str, text: str) -> None:
        """Writes a text as a file, in one piece: who reads sees all of it or none."""
        file_format = "RawBLOB', 'text String"
        await self._execute(bucket, path, file_format, "INSERT INTO FUNCTION", "SELECT %(text)s", {"text": text})

    async def read_text(self, bucket: Bucket, path: str) -> str:
        """Returns a file's text."""
        [(text,)] = await self._execute(bucket, path, "RawBLOB", "SELECT raw_blob FROM")
        return str(text)

    async def _execute(
        self,
        bucket: Bucket,
        path: str,
        file_format: str,
        verb: str,
        select: str = "",
        parameters: Mapping[str, Any] | None = None,
    ) -> list[tuple[Any, ...]]:
        if bucket.must_be_public:
            await _require_public(bucket.url)
        own = {"url": f"{bucket.url}/{path}", "key": bucket.access_key_id, "secret": bucket.secret_access_key}
        credentials = "%(key)s, %(secret)s, " if bucket.access_key_id else ""
        statement = f"{verb} s3(%(url)s, {credentials}'{file_format}')\n{select}\n{_SETTINGS}"
        try:
            return await self._clickhouse.execute(statement, {**(parameters or {}), **own})
        except StatementRefusedError as error:
            code = int(error.metadata.get("code", 0))
            said = str(getattr(error.__cause__, "message", ""))
            if code == _S3_ERROR:
                raise FileError(_fault_of(said), _told(said, bucket)) from None  # the statement has the secret in it
            if code in _REFUSED_URL:
                raise FileError(FileFault.CONFIG, _told(said, bucket)) from None
            raise


async def _require_public(url: str) -> None:
    parts = urlsplit(url)
    addresses = Addresses(parts.hostname or "", parts.port or 443, SystemClock(), allow_private=False)
    try:
        await addresses.find()
    except RefusedAddressError as error:
        raise FileError(FileFault.CONFIG, str(error)) from None
    except OSError:
        raise FileError(FileFault.AGAIN, "The host of the bucket does not resolve.") from None
    finally:
        addresses.close()


def _fault_of(said: str) -> FileFault:
    text = said.lower()
    if any(sign in text for sign in _CONFIG):
        return FileFault.CONFIG
    return FileFault.THROTTLED if any(sign in text for sign in _THROTTLED) else FileFault.AGAIN


def _told(said: str, bucket: Bucket) -> str:
    """Returns what the store said in a line, without our names for it."""
    text = " ".join(said.partition("Stack trace:")[0].split()).removeprefix("DB::Exception: ").removeprefix("Message: ")
    for hidden in filter(None, (bucket.secret_access_key, bucket.access_key_id)):
        text = text.replace(hidden, "***")
    return text.partition(", bucket ")[0][:300]
