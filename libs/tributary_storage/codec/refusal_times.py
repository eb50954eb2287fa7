"""When an event happened that was refused: it may say no time, or none that there is.

The one rule: it is never later than when it was refused, so that nothing is younger than an erasure that came after it.
"""

from tributary.event.v1.event_pb2 import Event
from tributary_domain.event_times import read_micros


def happened_micros(event: Event, accept_micros: int) -> int:
    """Returns when an event happened; when it was refused, where it does not say, or says what cannot be.

    Args:
        event: As it is kept; its time is as it was sent.
        accept_micros: When it was refused, by the clock of the event log.
    """
    micros = read_micros(event.event_time)  # 0 where there is none
    return micros if micros is not None and 0 < micros < accept_micros else accept_micros
