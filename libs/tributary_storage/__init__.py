"""Placeholder for tributary_storage."""
