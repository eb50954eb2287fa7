"""The process that is ClickHouse in the local stack: the engine of the wheel `chdb-core`, listening.

`python -m tributary_cli.stack.clickhouse_process DATA_DIRECTORY`, in a working directory whose `config.xml` names ports
and address, and whose `users.xml` says who may do what: the engine reads these files from where it is started, which
is why this is a process of its own.
It ends when killed; there is no orderly end, and none is needed: an acknowledged insert survives `kill -9`.
"""

from __future__ import annotations

import sys

_LISTEN = """
SYSTEM START LISTEN TCP;
SYSTEM START LISTEN HTTP;
SELECT sleepEachRow(1)
FROM numbers(1000000000)
SETTINGS function_sleep_max_microseconds_per_block = 0, max_block_size = 1
FORMAT Null
"""  # the server listens for as long as this query runs


def main() -> None:
    """Listens until killed."""
    from chdb import _chdb  # heavy, and only in the extra `local`

    # The stateless entry is the one that can listen.
    _chdb.query(_LISTEN, "CSV", path=sys.argv[1])  # type: ignore[attr-defined] # a compiled module without stubs


if __name__ == "__main__":
    main()
