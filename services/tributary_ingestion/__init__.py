"""Ingestion: the door. Takes events from backends and answers a verdict per event, at once."""
