"""Placeholder for tributary_client."""
