"""Query: the one address for reads. Asks ClickHouse itself, and the owners of live state for the rest."""
