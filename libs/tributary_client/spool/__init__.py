"""Events on disk until they are decided: what was tracked survives a restart, and a kill.

The one rule: an event is in the spool before its caller goes on, and leaves it only with its verdict.
"""

from tributary_client.spool.spool import Spool, Spooling

__all__ = ["Spool", "Spooling"]
