"""Random worlds through the pure core, as many as you like: `python -m tests.load.lives --worlds 100000 --first 3000`.

Prints what differs from the words of the rules, with the seed that makes the world again, and exits with 1 then.
"""

from __future__ import annotations

import argparse
import sys

from tests.support.core_lives import differences
from tests.support.lives import a_world


def main() -> int:
    """Looks at the worlds of some seeds; returns the exit status."""
    parser = argparse.ArgumentParser(prog="tests.load.lives", description=__doc__)
    parser.add_argument("--worlds", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0, help="seed of the first world")
    options = parser.parse_args()
    found = 0
    for seed in range(options.first, options.first + options.worlds):
        for difference in differences(a_world(seed)):
            found += 1
            print(difference)
    print(f"seeds {options.first} to {options.first + options.worlds - 1}: {found} differences")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
