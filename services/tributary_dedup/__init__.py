"""Dedup: claims event ids and orders, keeps the event log, and records what is in it in ClickHouse."""

import tributary_runtime.quick_start  # noqa: F401 - first of all, for its effects
