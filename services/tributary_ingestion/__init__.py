"""Placeholder for tributary_ingestion."""
