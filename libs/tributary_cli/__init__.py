"""Placeholder for tributary_cli."""
