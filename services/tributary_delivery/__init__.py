"""Placeholder for tributary_delivery."""
