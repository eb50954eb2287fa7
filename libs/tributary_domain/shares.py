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
    return share_out(total, weights, whole)


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


def share_out(total: int, weights: Sequence[int], whole: int) -> list[int]:
    """Does what `split_exactly` does, unchecked, for a hot loop that knows its weights.

    Args:
        total: In any integer unit; negative for a refund.
        weights: At least one; none negative.
        whole: Their sum, above 0.
    """
    if total < 0:
        return [-part for part in share_out(-total, weights, whole)]
    if len(weights) == 1:
        return [total]
    if len(weights) == 2:
        part, remainder = divmod(total * weights[0], whole)
        # The two remainders add up to 0 or `whole`: the unit goes to the larger one, in a tie to the earlier part.
        if 2 * remainder >= whole:
            part += 1
        return [part, total - part]
    parts = [total * weight // whole for weight in weights]
    left = total - sum(parts)
    if left:
        lacking = [-(total * weight % whole) for weight in weights]  # the larger the remainder, the smaller
        if left == 1:
            parts[lacking.index(min(lacking))] += 1
        else:
            for index in sorted(range(len(weights)), key=lacking.__getitem__)[:left]:
                parts[index] += 1
    return parts
