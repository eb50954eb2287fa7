"""The garbage collector of a process that serves.

The one rule: what is there when a process begins to serve stays for ever, so nobody looks through it again and again:
that would cost a tenth of the hot path. Called by the services that count every microsecond.
"""

import gc

OF_A_CALL = 20_000
"""A call of 1000 events makes and forgets some thousand objects: a collection per call is enough."""

OF_A_BATCH = 200_000
"""What a batch of 1000 events holds on to until it is stored, at most. All of it goes with the batch, without a
collection; one in the middle would look through all of it and find nothing."""

_OLDER = (20, 50)


def collect_rarely(objects: int = OF_A_CALL) -> None:
    """Makes collections rarer: what imports make stays, too.

    Args:
        objects: How many more there have to be than after the last collection.
    """
    gc.set_threshold(objects, *_OLDER)


def settle_heap(objects: int = OF_A_CALL) -> None:
    """Takes what is there now out of every collection to come, and makes collections rarer. Twice is once.

    Args:
        objects: As for `collect_rarely`.
    """
    gc.collect()
    gc.freeze()
    collect_rarely(objects)
