"""Placeholder for tributary_attribution."""
