"""Placeholder for tributary_domain."""
