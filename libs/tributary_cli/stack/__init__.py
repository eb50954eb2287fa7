"""Starts, watches and stops the processes of a local installation. No process outlives the one that started it."""
