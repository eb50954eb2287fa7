"""A data warehouse of the workspace's own, filled through object storage: Parquet files and manifests.

The one rule: the books go there whole. What is left out is chosen by the conversion's name alone, never by consent,
match or scope: nothing in them says by what a person could be reached.
"""

from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from tributary_domain.warehouse_tables import WarehouseTable
from tributary_runtime.declared_urls import check_url
from tributary_runtime.destination_settings import DestinationSettings
from tributary_runtime.secret_references import SecretReference

_NOT_HERE: Final = ("hold_seconds", "send_scope", "value", "value_basis", "value_model", "pixel", "channels", "quota")
_GOOGLE_HOST: Final = "storage.googleapis.com"


class WarehouseDestination(DestinationSettings):
    """Files in S3-compatible storage, written by ClickHouse, for BigQuery, Snowflake, Redshift and others to load."""

    is_sent_each = False

    type: Literal["warehouse"]
    """warehouse."""

    bucket: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
    """The bucket; it exists already. What was exported to another one stays there: a new id exports all anew."""

    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$", max_length=200)] = "tributary"
    """What the names of all files begin with. Another destination needs another one."""

    region: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")] = "us-east-1"
    """Where the bucket is, at AWS."""

    endpoint_url: Annotated[str, Field(max_length=2048)] | None = None
    """Where another store than AWS answers, without the bucket: https://storage.googleapis.com, with an HMAC key, for
    BigQuery. It is ClickHouse that calls it."""

    access_key_id: SecretReference | None = None
    """With `secret_access_key`; without both, ClickHouse uses the role that its own server has."""

    secret_access_key: SecretReference | None = None
    """May write, read and list below the prefix; nothing is ever deleted."""

    tables: Annotated[tuple[WarehouseTable, ...], Field(min_length=1)] = tuple(WarehouseTable)
    """conversions | conversion_revisions | credits | postings: which are written. Withdrawals always are."""

    interval_seconds: Annotated[int, Field(ge=1, le=86_400)] = 900
    """How long after the last batch the next one is made, where anything is new."""

    batch_rows: Annotated[int, Field(ge=1, le=1_000_000)] = 200_000
    """Revisions in one batch at most; with as many waiting, a batch is made at once."""

    @model_validator(mode="after")
    def _check_warehouse(self) -> Self:
        if self.endpoint_url is not None:
            check_url("endpoint_url", self.endpoint_url, allow_http=self.allow_private_addresses)
            parts = urlsplit(self.endpoint_url)
            if parts.path.strip("/") or parts.query or parts.fragment:
                raise ValueError("endpoint_url must not have a path; the bucket is named by bucket")
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("give both of access_key_id, secret_access_key, or none")
        if any(mapping.name for mapping in self.conversions.values()):
            raise ValueError("conversions: a warehouse is told our names; leave name out")
        if said := sorted(set(_NOT_HERE) & self.model_fields_set):
            raise ValueError(f"{', '.join(said)}: a warehouse has the books as they are; leave it out")
        return self

    @property
    def url(self) -> str:
        """Where the prefix begins, as ClickHouse calls it."""
        if self.endpoint_url is None and "." not in self.bucket:
            return f"https://{self.bucket}.s3.{self.region}.amazonaws.com/{self.prefix}"
        if self.endpoint_url is None:  # a certificate does not fit a host with more dots
            return f"https://s3.{self.region}.amazonaws.com/{self.bucket}/{self.prefix}"
        return f"{self.endpoint_url.rstrip('/')}/{self.bucket}/{self.prefix}"

    @property
    def uri(self) -> str:
        """The same place, as warehouses name it: s3://bucket/prefix, or gs://bucket/prefix."""
        is_google = self.endpoint_url is not None and urlsplit(self.endpoint_url).hostname == _GOOGLE_HOST
        return f"{'gs' if is_google else 's3'}://{self.bucket}/{self.prefix}"
