"""`python -m tests.features.referee write FILE`: write the conformance vectors of feature generation.

`python -m tests.features.referee compare FIRST LAST`: compare the native core with the referee on random
cases and print the smallest form of every case that differs.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.features.referee import random_cases
from tests.features.referee.vectors import text_of, vectors


def compare(first: int, last: int) -> int:
    """Print what differs, and return how many cases do."""
    from tests.features.comparison import failure, smallest

    found = [seed for seed in range(first, last) if failure(random_cases.case(seed))]
    for seed in found:
        print(f"seed {seed}: {smallest(random_cases.case(seed))}\n")
    print(f"{last - first} cases, {len(found)} differ")
    return len(found)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["write", path]:
            Path(path).write_text(text_of(vectors()), encoding="utf-8")
        case ["compare", first, last]:
            sys.exit(compare(int(first), int(last)) > 0)
        case _:
            sys.exit(__doc__)
