"""An S3-compatible store on loopback: `localbucket` with the faults that a real one shows. Its buckets are folders."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from pathlib import Path

import localbucket

ACCESS_KEY_ID = "AKTESTKEYID"
SECRET = "secret-of-tests-only"
BUCKET = "books"

_ERROR = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'


@dataclass(frozen=True, slots=True)
class Fault:
    """What is answered instead of doing what was asked."""

    status: int
    code: str
    message: str = "said by the store"
    location: str = ""
    """Where it sends who asks."""


ACCESS_DENIED = Fault(403, "AccessDenied", "Access Denied")
WRONG_KEY = Fault(403, "InvalidAccessKeyId", "The key does not exist in our records.")
SLOW_DOWN = Fault(503, "SlowDown", "Please reduce your request rate.")


@dataclass
class ObjectStorage:
    """A running store."""

    root: Path
    port: int
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of every request, in order."""
    authorizations: list[str] = field(default_factory=list)
    fault: Callable[[str, str], Fault | None] = lambda method, path: None
    """Method and path -> what goes wrong; may block, as a slow store does."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/{BUCKET}"

    def names(self, ending: str = "") -> list[str]:
        """Returns the keys of all objects, sorted."""
        bucket = self.root / BUCKET
        found = (path.relative_to(bucket).as_posix() for path in bucket.rglob("*") if path.is_file())
        return sorted(name for name in found if name.endswith(ending))

    def read(self, name: str) -> bytes:
        return (self.root / BUCKET / name).read_bytes()


@contextmanager
def running_object_storage(root: Path) -> Iterator[ObjectStorage]:
    """Runs one with an empty bucket."""
    (root / BUCKET).mkdir(parents=True)

    class Handler(localbucket.S3Handler):  # type: ignore[misc] # has no types
        data_root = root
        disable_nagle_algorithm = True  # headers and body are written apart

        def log_message(self, format: str, *args: object) -> None:
            pass

        def _fails(self) -> bool:
            method, path = self.command, self.path
            storage.requests.append((method, path))
            storage.authorizations.append(self.headers.get("Authorization", ""))
            fault = storage.fault(method, path)
            if fault is None:
                return False
            self._read_body()
            body = _ERROR.format(code=fault.code, message=fault.message).encode()
            self.send_response(fault.status)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            if fault.location:
                self.send_header("Location", fault.location + path)
            self.end_headers()
            if method != "HEAD":
                self.wfile.write(body)
            return True

        def do_PUT(self) -> None:
            if not self._fails():
                super().do_PUT()

        def do_GET(self) -> None:
            if not self._fails():
                super().do_GET()

        def do_HEAD(self) -> None:
            if not self._fails():
                super().do_HEAD()

        def do_POST(self) -> None:
            if not self._fails():
                super().do_POST()

        def do_DELETE(self) -> None:
            if not self._fails():
                super().do_DELETE()

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that left is no failure of the test."""

    with Server(("127.0.0.1", 0), Handler) as server:
        storage = ObjectStorage(root, server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield storage
        finally:
            server.shutdown()
            thread.join()
