"""What must be decided now: one structure per module, its scripts in `lua/`, its keys in `keys.py`."""
