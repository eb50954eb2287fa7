"""Placeholder for tributary_runtime."""
