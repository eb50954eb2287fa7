"""Delivery: brings every conversion, and every correction of one, to the destinations of its workspace.

`planner` reads the conversion log and plans jobs; `dispatcher` runs a `lane` per destination, so that a dead one slows
only itself; a lane takes due jobs, asks `eligible` whether each may go, calls the destination, writes the sent ledger
and settles. What a destination is, `destinations` knows: one module each.
"""

import tributary_runtime.quick_start  # noqa: F401 - first of all, for its effects
