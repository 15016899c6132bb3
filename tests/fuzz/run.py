"""Compiles thousands of damaged models and reports all that ends otherwise than it should: `python -m tests.fuzz.run`.

Each is a small model changed in a few places by its seed. It must be compiled, or refused with an error of DLFusion's
own. A finding is reproduced with `--seed N`, which also writes the model to a file.
"""

import argparse
import collections
import multiprocessing
import os
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.fuzz.bases import bases
from tests.fuzz.case import Outcome, content_of, run

CASES = 10_000
CASES_PER_TASK = 20


def main() -> int:
    """Prints the findings; the exit status is 1 if there are any."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=CASES, help="how many seeds to try")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="try this one alone and write its model to a file")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    bases()  # children are forks of this process: what it has read, each of them has
    if options.seed is not None:
        path = Path(f"fuzz-{options.seed}.onnx")
        path.write_bytes(content_of(options.seed))
        outcome = run(options.seed)
        print(f"{path}: {outcome.kind} {outcome.where}\n{outcome.text}")
        return outcome.is_finding
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(options.jobs, context) as pool:
        seeds = range(options.first, options.first + options.cases)
        return report(pool.map(run, seeds, chunksize=CASES_PER_TASK))


def report(outcomes: Iterable[Outcome]) -> int:
    """Writes each distinct finding when it is first made, and in the end all seeds of each; 1 if there is any."""
    counts: collections.Counter[str] = collections.Counter()
    findings: dict[str, list[int]] = collections.defaultdict(list)
    for outcome in outcomes:
        counts[outcome.kind] += 1
        if outcome.is_finding:
            title = f"{outcome.kind}: {outcome.where}"
            if title not in findings:
                print(f"{title}, seed {outcome.seed}\n{outcome.text}", flush=True)
            findings[title].append(outcome.seed)
    for title, seeds in sorted(findings.items(), key=lambda item: -len(item[1])):
        print(f"{title}: {len(seeds)} times, seeds {', '.join(map(str, seeds[:10]))}")
    print(", ".join(f"{kind} {count}" for kind, count in counts.most_common()))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
