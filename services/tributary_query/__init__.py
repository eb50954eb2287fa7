"""Placeholder for tributary_query."""
