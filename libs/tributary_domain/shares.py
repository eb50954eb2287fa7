"""Exact division: what is shared out adds up to what there was, to the last unit."""

from collections.abc import Sequence


def split_exactly(total: int, weights: Sequence[int]) -> list[int]:
    """Splits `total` in proportion to `weights`, to the last unit.

    Parts are rounded down; left-over units go to the largest remainders, earlier parts first (Hamilton's method).
    A negative total is split like its absolute value, so that a refund mirrors the sale.

    Args:
        total: In any integer unit (credit micros, amount micros); negative for a refund.
        weights: One per touchpoint, oldest first; none negative, not all zero. A power is scaled to an integer first.

    Returns:
        One integer per weight; their sum is `total`.

    Raises:
        ValueError: `weights` is empty, all zero, or has a negative entry.

    >>> split_exactly(1_000_000, [1, 1, 1])
    [333334, 333333, 333333]
    >>> split_exactly(-1, [1, 1, 1])
    [-1, 0, 0]
    """
    if not weights or min(weights) < 0:
        message = "Weights must be given, and none may be negative."
        raise ValueError(message)
    whole = sum(weights)
    if whole == 0:
        message = "At least one weight must be above zero."
        raise ValueError(message)
    if total < 0:
        return [-part for part in _split(-total, weights, whole)]
    return _split(total, weights, whole)


def split_equally(total: int, count: int) -> list[int]:
    """Splits `total` into `count` parts that differ by at most one unit: `split_exactly` with equal weights.

    Args:
        total: In any integer unit; negative for a refund.
        count: How many parts, at least 1.

    Returns:
        `count` integers; the earlier ones carry the left-over units.

    >>> split_equally(5, 3)
    [2, 2, 1]
    >>> split_equally(-5, 3)
    [-2, -2, -1]
    """
    if total < 0:
        return [-part for part in split_equally(-total, count)]
    part, left = divmod(total, count)
    return [part + 1] * left + [part] * (count - left)


def _split(total: int, weights: Sequence[int], whole: int) -> list[int]:
    """Splits a total that is not negative by weights that were checked and add up to `whole`."""
    count = len(weights)
    if count == 1:
        return [total]
    if count == 2:
        part, remainder = divmod(total * weights[0], whole)
        # The two remainders add up to 0 or `whole`: the unit goes to the larger one, in a tie to the earlier part.
        if 2 * remainder >= whole:
            part += 1
        return [part, total - part]
    products = [total * weight for weight in weights]
    parts = [product // whole for product in products]
    left = total - sum(parts)
    if left:
        remainders = [product % whole for product in products]
        for index in sorted(range(count), key=remainders.__getitem__, reverse=True)[:left]:
            parts[index] += 1
    return parts
