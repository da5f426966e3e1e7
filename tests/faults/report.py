"""Print the table of faults by rule sets, and the books after random schedules.

`python tests/faults/report.py [--one-in 10] [--schedules 1000]`. A cell says how many cases (a state of the ledger met
by the fault) ended exact / with something for a person / refused by the server; after mending. `!` marks a case that
ended as it must not.
"""

import argparse
import logging
import multiprocessing
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import schedules
from delivery_scenes import Cases, all_cases, play, sort_of, unexpected
from delivery_world import RULE_SETS
from ehr_faults import CATALOGUE
from ehr_simulator import Simulator

SORTS = ("exact", "person", "refused", "!")


def cells(rules: str, one_in: int) -> Counter[tuple[str, str, str]]:
    """Return how the cases of a rule set ended, by fault, rule set and sort."""
    logging.disable(logging.WARNING)
    found: Counter[tuple[str, str, str]] = Counter()
    with Simulator() as ehr, tempfile.TemporaryDirectory() as folder:
        sample = (case for case in all_cases([rules]) if case.seed % one_in == 0)
        for number, case in enumerate(Cases(ehr, Path(folder)).of(sample)):
            result = play(ehr, case, Path(folder) / str(number))
            is_bad = result.faults or unexpected(case, result)
            found[case.fault, rules, "!" if is_bad else sort_of(result)] += 1
    return found


def ended(seeds: Sequence[int]) -> Counter[str]:
    """Return how schedules ended, and the lines of their books added up."""
    logging.disable(logging.WARNING)
    found: Counter[str] = Counter()
    with Simulator() as ehr, tempfile.TemporaryDirectory() as folder:
        for seed in seeds:
            played = schedules.play(ehr, schedules.rules_of(seed), seed, Path(folder) / str(seed))
            sort = f"! seed {seed}" if played.faults else ("person" if played.verdict.left else "exact")
            found[sort] += 1
            found["resources exact"] += played.verdict.exact
            found.update({f"resources {state}": count for state, count in played.verdict.left.items()})
    return found


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Print the table of faults by rule sets.")
    parser.add_argument("--one-in", type=int, default=1, help="play one case in so many")
    parser.add_argument("--schedules", type=int, default=0, help="play so many random schedules, too")
    options = parser.parse_args(arguments)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        table = sum(pool.imap(partial(cells, one_in=options.one_in), RULE_SETS, chunksize=1), Counter())
        seeds = [list(range(first, options.schedules, 20)) for first in range(20)] if options.schedules else []
        books = sum(pool.imap_unordered(ended, seeds), Counter())
    _print_table(table)
    for name, count in sorted(books.items()):
        print(f"{count:7} {name}")
    return int(any(sort == "!" for _, _, sort in table) or any(name.startswith("!") for name in books))


def _print_table(table: Counter[tuple[str, str, str]]) -> None:
    print("| fault | " + " | ".join(RULE_SETS) + " |")
    print("|---" * (len(RULE_SETS) + 1) + "|")
    sums: dict[str, Counter[str]] = defaultdict(Counter)
    for fault in CATALOGUE:
        row = []
        for rules in RULE_SETS:
            counts = Counter({sort: table[fault, rules, sort] for sort in SORTS})
            sums[rules].update(counts)
            row.append(_cell(counts))
        print(f"| {fault} | " + " | ".join(row) + " |")
    print("| all | " + " | ".join(_cell(sums[rules]) for rules in RULE_SETS) + " |")


def _cell(counts: Counter[str]) -> str:
    told = "/".join(str(counts[sort]) for sort in SORTS[:3])
    return (told if counts.total() else "-") + (f" !{counts['!']}" if counts["!"] else "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
