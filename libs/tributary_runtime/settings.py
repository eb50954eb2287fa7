"""Process settings: `TRIBUTARY_*` environment variables, read once, in `__main__`.

The one rule: a process starts with settings that are right or not at all, and says everything that is wrong at once.

Every service gets the same environment, so a name is known if *any* service knows it. That works without a list that
could go stale: a setting is either shared, and then declared here, or it belongs to one service and is named after it
(`TRIBUTARY_DEDUP_LINGER_MS`, read by dedup only). A service lets names of other services pass and refuses the rest.

A service composes what it needs:

    class DedupSettings(ServiceSettings, WithLogStore, WithClickHouse):
        service: ClassVar[str] = "dedup"
        dedup_linger_ms: int = 2
        "How long the first caller of a group waits for others."

    settings = load(DedupSettings)
"""

import os
import re
import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar, NoReturn, Self, TypeVar

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from tributary_runtime.attribute_docs import attribute_docs

PREFIX = "TRIBUTARY_"
SERVICES = ("ingestion", "dedup", "attribution", "delivery", "query")
OWNERS = (*SERVICES, "cli")
"""Who may have settings of its own, named `TRIBUTARY_<OWNER>_...`."""


class LogLevel(StrEnum):
    """The least severe log line that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class DurabilityMode(StrEnum):
    """What makes an acknowledged event safe (SEMANTICS section 3); the guard verifies it."""

    FSYNC = "fsync"
    REPLICATED = "replicated"
    ATTESTED = "attested"
    NONE = "none"


def _redis_url(value: SecretStr) -> SecretStr:
    schemes = ("redis://", "rediss://", "unix://", "redis+cluster://", "rediss+cluster://")
    if not value.get_secret_value().startswith(schemes):
        raise ValueError(
            "must be a URL like redis://host:6379/0, rediss://user:password@host:6379/0 or, for Redis Cluster, "
            "redis+cluster://host:6379,host:6379"
        )
    return value


def _clickhouse_url(value: SecretStr) -> SecretStr:
    url = value.get_secret_value()
    if not url.startswith(("clickhouse://", "clickhouses://")):
        raise ValueError("must be a URL like clickhouse://user:password@host:9000/database")
    return value


def _address(value: str) -> str:
    host, separator, port = value.rpartition(":")
    if not separator or not host or not port.isdigit() or int(port) > 65_535:
        raise ValueError("must be host:port, e.g. 0.0.0.0:50051 or [::]:50051")
    return value


RedisUrl = Annotated[SecretStr, AfterValidator(_redis_url)]
ClickHouseUrl = Annotated[SecretStr, AfterValidator(_clickhouse_url)]
Address = Annotated[str, AfterValidator(_address)]
Target = Annotated[str, Field(min_length=1)]
"""Where a gRPC channel connects to: host:port, or dns:///name:port to balance over all addresses of the name."""


class Settings(BaseSettings):
    """What every process has. Frozen; secrets print as stars."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        extra="ignore",  # pydantic never sees unknown names; `load` looks for them
        frozen=True,
        hide_input_in_errors=True,
    )

    service: ClassVar[str] = ""

    log_level: LogLevel = LogLevel.INFO
    """debug | info | warning | error."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Refuses, when the class is made, a service's own setting that is not named after it."""
        super().__pydantic_init_subclass__(**kwargs)
        if cls.__module__ == __name__:
            return
        if cls.service not in OWNERS:
            raise TypeError(f"{cls.__name__}.service must be one of {', '.join(OWNERS)}")
        for name in cls.model_fields:
            if name not in _shared_names() and not name.startswith(f"{cls.service}_"):
                raise TypeError(f"{cls.__name__}.{name}: name it {cls.service}_{name}, or declare it in settings.py")


class WithTls(Settings):
    """Speaks TLS where it is told to; see `tls.py`."""

    tls_certificate_file: Path | None = None
    """Certificate of this process, PEM, with those between it and the root: its server speaks TLS only, its channels
    show it. Read again when it changes."""

    tls_key_file: Path | None = None
    """Key of the certificate, PEM."""

    tls_client_ca_file: Path | None = None
    """Certificates that sign those of callers, PEM: callers must show one (mTLS). Unset: they need none."""

    tls_ca_file: Path | None = None
    """Certificates that sign those of the servers it calls, PEM: its channels speak TLS only. Unset: in the clear."""

    tls_server_name: str = ""
    """Name in the certificates of the servers it calls, where that is not the host of the target."""

    @model_validator(mode="after")
    def _check_tls(self) -> Self:
        if (self.tls_certificate_file is None) != (self.tls_key_file is None):
            raise ValueError("TRIBUTARY_TLS_CERTIFICATE_FILE and TRIBUTARY_TLS_KEY_FILE need each other")
        if self.tls_client_ca_file is not None and self.tls_certificate_file is None:
            raise ValueError("TRIBUTARY_TLS_CLIENT_CA_FILE needs TRIBUTARY_TLS_CERTIFICATE_FILE")
        return self


class ServiceSettings(WithTls):
    """What every service has."""

    listen: Address = "0.0.0.0:50051"
    """Where gRPC listens, host:port. Port 0 takes a free one, named in the line `server_started`."""

    health_listen: Address | None = None
    """Where health alone is served too, always in the clear: for probes that know no TLS, as the kubelet's. Unset:
    nowhere."""

    internal_token: Annotated[SecretStr, Field(min_length=16)]
    """Shared by all services: proves that a call between services is one. At least 16 characters."""

    reflection: bool = False
    """Whether gRPC reflection answers: handy with grpcurl, tells strangers the contract."""

    drain_delay_seconds: Annotated[float, Field(ge=0, le=300)] = 5.0
    """After SIGTERM: how long to go on serving while load balancers learn that we leave."""

    max_concurrent_calls: Annotated[int, Field(ge=1)] = 512
    """Calls handled at once; further ones get RESOURCE_EXHAUSTED immediately."""


class _WithDurableStore(Settings):
    """Acknowledges work that a Redis must keep."""

    durability: DurabilityMode = DurabilityMode.FSYNC
    """fsync | replicated | attested | none: what makes an acknowledged event safe."""


class WithLogStore(_WithDurableStore):
    """Needs the Redis that plays the role *log*: claims, event log, verdict counters."""

    log_url: RedisUrl
    """Redis of the event log, redis://host:port/db."""


class WithStateStore(_WithDurableStore):
    """Needs the Redis that plays the role *state*: people, journeys, conversions, conversion log."""

    state_url: RedisUrl
    """Redis of journeys and conversions, redis://host:port/db."""


class WithJobsStore(_WithDurableStore):
    """Needs the Redis that plays the role *jobs*: delivery jobs and quotas."""

    jobs_url: RedisUrl
    """Redis of delivery jobs, redis://host:port/db."""


class WithClickHouse(Settings):
    """Needs ClickHouse."""

    clickhouse_url: ClickHouseUrl
    """clickhouse://user:password@host:9000/database (clickhouses:// for TLS)."""

    clickhouse_cluster: str = ""
    """Name of the ClickHouse cluster; empty for a single node."""


class WithWorkspaces(Settings):
    """Needs to know the workspaces."""

    workspaces_file: Path
    """Path of workspaces.yaml; read again when it changes."""


class WithWorkspaceGrace(WithWorkspaces):
    """Reads what was accepted for workspaces that it may hear of later."""

    workspace_grace_seconds: Annotated[int, Field(ge=0, le=3_600)] = 120
    """How long after it was accepted an event waits for its workspace to be in workspaces.yaml here too; then it
    becomes a dead letter."""


class WithIngestion(Settings):
    """Calls ingestion."""

    ingestion_target: Target
    """Where ingestion is, e.g. dns:///ingestion:50051."""


class WithDedup(Settings):
    """Calls dedup."""

    dedup_target: Target
    """Where dedup is, e.g. dns:///dedup:50051."""


class WithAttribution(Settings):
    """Calls attribution."""

    attribution_target: Target
    """Where attribution is, e.g. dns:///attribution:50051."""


class WithDelivery(Settings):
    """Calls delivery."""

    delivery_target: Target
    """Where delivery is, e.g. dns:///delivery:50051."""


class WithQuery(Settings):
    """Calls query."""

    query_target: Target
    """Where query is, e.g. dns:///query:50051."""


class WithApiKey(Settings):
    """Calls as a backend or an internal tool does."""

    api_key: SecretStr
    """An API key, trb_<id>_<secret>, as `tributary keys create` prints it."""


_SHARED: tuple[type[Settings], ...] = (
    WithTls,
    ServiceSettings,
    WithLogStore,
    WithStateStore,
    WithJobsStore,
    WithClickHouse,
    WithWorkspaces,
    WithWorkspaceGrace,
    WithIngestion,
    WithDedup,
    WithAttribution,
    WithDelivery,
    WithQuery,
    WithApiKey,
)


def _shared_names() -> frozenset[str]:
    return frozenset(name for part in _SHARED for name in part.model_fields)


_SERVICE_LINK = re.compile(
    r".+_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)
"""What Kubernetes puts into the environment for each Service, `TRIBUTARY_QUERY_SERVICE_HOST`; never a setting."""


_COMMAND = frozenset({"cli_data"})
"""What the command alone reads: `--data`."""


def is_known(variable: str) -> bool:
    """Tells whether some part of Tributary may read this environment variable."""
    name = variable.removeprefix(PREFIX).lower()
    return name in _shared_names() or name in _COMMAND or name.startswith(tuple(f"{owner}_" for owner in OWNERS))


SettingsT = TypeVar("SettingsT", bound=Settings)


def problems(cls: type[Settings], environ: Mapping[str, str]) -> list[str]:
    """Lists what is wrong with an environment, without the values: they may be secrets.

    Args:
        cls: The settings to read.
        environ: The environment that pydantic read; normally `os.environ`.

    Returns:
        One sentence per problem, named by its variable, in the order of the fields; unknown names last.
    """
    found = []
    try:
        cls()
    except ValidationError as error:
        for problem in error.errors(include_input=False, include_url=False):
            name = str(problem["loc"][0]) if problem["loc"] else ""
            said = attribute_docs(cls).get(name, "")
            meaning = f" ({' '.join(said.split())})" if said else ""  # a problem is a line, whatever the source wraps
            what = "is required" if problem["type"] == "missing" else problem["msg"].removeprefix("Value error, ")
            found.append(f"{PREFIX}{name.upper()}: {what}{meaning}")
    own = f"{PREFIX}{cls.service.upper()}_"
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or _SERVICE_LINK.fullmatch(variable):
            continue
        name = variable.removeprefix(PREFIX).lower()
        is_own_unknown = bool(cls.service) and variable.startswith(own) and name not in cls.model_fields
        if not is_known(variable) or (is_own_unknown and name not in _shared_names() | _COMMAND):
            found.append(f"{variable}: no setting has this name")
    return found


def load(cls: type[SettingsT], *, exit_status: int = 2) -> SettingsT:
    """Reads the settings of a process, or prints every problem and exits.

    Args:
        cls: The settings.
        exit_status: What it exits with; another one for a process of which 2 says something else.
    """
    found = problems(cls, os.environ)
    if found:
        _refuse(found, exit_status)
    return cls()


def _refuse(found: list[str], exit_status: int) -> NoReturn:
    sys.stderr.write("These settings are wrong:\n" + "".join(f"  {problem}\n" for problem in found))
    sys.exit(exit_status)
