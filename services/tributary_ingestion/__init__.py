"""Ingestion: the door. Takes events from backends and answers a verdict per event, at once."""

import tributary_runtime.quick_start  # noqa: F401 - first of all, for its effects
