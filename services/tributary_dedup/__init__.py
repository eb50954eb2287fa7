"""Placeholder for tributary_dedup."""
