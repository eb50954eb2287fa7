"""Query: the one address for reads. Asks ClickHouse itself, and the owners of live state for the rest."""

import tributary_runtime.quick_start  # noqa: F401 - first of all, for its effects
