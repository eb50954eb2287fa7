"""TLS between callers, services and each other: optional, on every server and every channel alike.

The one rule: what is configured is required. A server with a certificate speaks nothing else; one that knows whose
certificates callers show lets nobody in without one. Servers and channels read their files anew when they change, so
that a renewed certificate needs no restart.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import structlog

from tributary_runtime.settings import WithTls

log = structlog.get_logger(__name__)

Stamp = tuple[tuple[int, int, int], ...]
"""How some files look."""


@dataclass(frozen=True, slots=True)
class Tls:
    """What a process knows of TLS; without any of it, it speaks in the clear."""

    certificate_file: Path | None = None
    """Its own certificate with those between it and the root, PEM."""
    key_file: Path | None = None
    """The key of it, PEM."""
    client_ca_file: Path | None = None
    """Who signs the certificates that callers have to show; None: they need none."""
    ca_file: Path | None = None
    """Who signs the certificates of the servers that it calls; None: it calls in the clear."""
    server_name: str = ""
    """The name in those certificates, where it is not the host that is called."""

    @classmethod
    def of(cls, settings: WithTls) -> Tls:
        """Returns what the settings say."""
        return cls(
            certificate_file=settings.tls_certificate_file,
            key_file=settings.tls_key_file,
            client_ca_file=settings.tls_client_ca_file,
            ca_file=settings.tls_ca_file,
            server_name=settings.tls_server_name,
        )

    def server_credentials(self) -> grpc.ServerCredentials | None:
        """Returns what a server listens with; None: in the clear.

        Raises:
            OSError: A file cannot be read.
        """
        if self.certificate_file is None or self.key_file is None:
            return None
        files = _Files(self)
        credentials: grpc.ServerCredentials = grpc.dynamic_ssl_server_credentials(
            files.configuration(), files.if_changed, require_client_authentication=self.client_ca_file is not None
        )
        return credentials

    def channel_credentials(self) -> grpc.ChannelCredentials | None:
        """Returns what a channel connects with, the process's own certificate included; None: in the clear.

        Raises:
            OSError: A file cannot be read.
        """
        if self.ca_file is None:
            return None
        key = None if self.key_file is None else self.key_file.read_bytes()
        chain = None if self.certificate_file is None else self.certificate_file.read_bytes()
        return grpc.ssl_channel_credentials(self.ca_file.read_bytes(), key, chain)

    def channel_stamp(self) -> Stamp:
        """Returns what tells the files of a channel from those that replace them.

        Raises:
            OSError: One is not there.
        """
        return _stamp(self.ca_file, self.certificate_file, self.key_file)

    def require_pair(self) -> None:
        """Returns if certificate and key belong together: not while only one of them has been replaced.

        Raises:
            OSError: They do not, or cannot be read.
        """
        if self.certificate_file is not None and self.key_file is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.load_cert_chain(self.certificate_file, self.key_file, password=lambda: "")  # nobody is here to ask

    def channel_options(self) -> list[tuple[str, Any]]:
        """Returns the options that a channel needs beside."""
        return [("grpc.ssl_target_name_override", self.server_name)] if self.ca_file and self.server_name else []


IN_THE_CLEAR = Tls()
"""No TLS."""


class _Files:
    """The files of a server, read anew when they changed; called by gRPC at each handshake, on a thread of its own."""

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        self._paths = tls.certificate_file, tls.key_file, tls.client_ca_file
        self._seen = _stamp(*self._paths)

    def configuration(self) -> Any:
        """Reads the files."""
        tls = self._tls
        assert tls.certificate_file is not None  # noqa: S101 - only made where there is one
        assert tls.key_file is not None  # noqa: S101
        roots = None if tls.client_ca_file is None else tls.client_ca_file.read_bytes()
        pair = tls.key_file.read_bytes(), tls.certificate_file.read_bytes()
        return grpc.ssl_server_certificate_configuration([pair], roots)

    def if_changed(self) -> Any:
        """Returns the new configuration; None: as before, also while a file is being replaced."""
        try:
            stamp = _stamp(*self._paths)
            if stamp == self._seen:
                return None
            configuration = self.configuration()
        except OSError as error:
            log.warning("certificate_unreadable", reason=str(error))
            return None
        self._seen = stamp
        log.info("certificate_reloaded")
        return configuration


def _stamp(*paths: Path | None) -> Stamp:
    found = [path.stat() for path in paths if path is not None]
    return tuple((one.st_ino, one.st_mtime_ns, one.st_size) for one in found)
