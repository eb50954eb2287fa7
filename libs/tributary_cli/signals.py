"""Which signals end what a command started."""

from __future__ import annotations

import signal


def unless_nohup(*numbers: signal.Signals) -> list[signal.Signals]:
    """Returns the signals to listen to; not SIGHUP where it is ignored: `nohup` asked to outlive the terminal."""
    return [one for one in numbers if one != signal.SIGHUP or signal.getsignal(one) is not signal.SIG_IGN]
