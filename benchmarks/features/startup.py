"""How long does a large fg.json take to compile? A thousand features, hundreds of which share one vocab_file.

CPU seconds from the files to a generator, with what a server asks it for; the median of new processes, since
the second time all is warm.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from recserve.features.config import load
from recserve.features.generator import Generator

FEATURES = 1000
WORDS = 1_000_000
PROCESSES = 3


def measure() -> dict[str, float]:
    """CPU seconds for the whole, and for a tenth of the features."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "words.txt").write_text("".join(f"word_{i}\n" for i in range(WORDS)))
        figures: dict[str, float] = {"features": FEATURES, "words": WORDS}
        for count, figure in ((FEATURES, "s"), (FEATURES // 10, "tenth_s")):
            path = folder / f"fg_{count}.json"
            path.write_text(json.dumps({"features": [feature(k) for k in range(count)]}))
            command = [sys.executable, "-m", "benchmarks.features.startup", "--compile", str(path)]
            taken = [
                float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
                for _ in range(PROCESSES)
            ]
            figures[figure] = median(taken)
    return figures


def feature(k: int) -> dict[str, Any]:
    """Feature k of a mixed bag, one in three with the vocabulary."""
    name = {"feature_name": f"f{k}"}
    vocabulary = {"vocab_file": "words.txt", "default_bucketize_value": k % 7}
    mixed: tuple[dict[str, Any], ...] = (
        {"feature_type": "id_feature", "expression": f"item:c{k}", **vocabulary},
        {"feature_type": "id_feature", "expression": f"user:c{k}", "hash_bucket_size": 1000 + k},
        {"feature_type": "raw_feature", "expression": f"item:x{k}", "normalizer": "method=log10"},
        {"feature_type": "id_feature", "expression": f"user:c{k}", **vocabulary},
        {"feature_type": "raw_feature", "expression": f"user:x{k}", "boundaries": list(range(20))},
        {"feature_type": "lookup_feature", "map": f"user:m{k}", "key": f"item:c{k}"},
        {
            "feature_type": "sequence_id_feature",
            "expression": f"user:s{k}",
            "default_value": "0",
            **vocabulary,
        },
        {
            "feature_type": "combo_feature",
            "expression": [f"user:c{k}", f"item:c{k}"],
            "hash_bucket_size": 1000,
        },
        {"feature_type": "expr_feature", "expression": f"x{k} * 2 + 1", "variables": [f"item:x{k}"]},
    )
    return name | mixed[k % len(mixed)]


def compile_file(path: Path) -> float:
    """CPU seconds from the file to a generator that a server can use."""
    start = time.process_time()
    generator = Generator(load(path))
    assert generator.finished_types.keys() == generator.finished.keys()
    assert generator.tensors
    assert generator.id_limits
    return time.process_time() - start


def main() -> None:
    """Print the figures, or the seconds of one file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--compile", type=Path, help="only this: the seconds for one fg.json")
    path = parser.parse_args().compile
    print(json.dumps(measure()) if path is None else compile_file(path))


if __name__ == "__main__":
    main()
