"""Time compiled views against the decoder, hand-written code, DuckDB and other engines, in interleaved pairs.

    python tests/benchmarks/views.py [--rounds 40] [--tasks a,b,c,c2] [--without-engines]

Each round reads one NDJSON file once with every competitor, in an order that turns around each time, and takes
processor seconds, so that other work on the machine does not count. A ratio is the median over the rounds of the
competitor's speed divided by the hand-written code's in the same round. Memory is the peak of a process of its own.
Not a test: figures depend on the machine; RESULTS.md keeps a table. What is not installed is left out and named.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import views_by_hand
import views_data
import views_others

from integration.views import CompiledView, compile_view, compile_views

RESOURCES = {"a": 2_000, "b": 2_000, "c": 500, "c2": 500}
ENGINE_RESOURCES = 100
ENGINE_ROUNDS = 3
MANY = 10
Run = Callable[[], Any]


def lines(file: Path) -> Iterator[bytes]:
    """Yield a file's lines through a buffer of 1 MB."""
    with file.open("rb", buffering=1 << 20) as stream:
        yield from stream


def drained(found: Iterable[Any]) -> None:
    """Take everything and keep nothing."""
    for _ in found:
        pass


def each(function: Callable[[bytes], Any], file: Path) -> None:
    """Call a function on every line of a file."""
    for line in lines(file):
        function(line)


def ours(view: CompiledView, file: Path) -> dict[str, Run]:
    """Return the three ways to run a view."""
    return {
        "ours, batches": lambda: drained(view.batches(lines(file))),
        "ours, read": lambda: each(view.read, file),
        "ours, rows": lambda: drained(view.rows(lines(file))),
    }


def competitors(task: str, file: Path) -> dict[str, Run]:
    """Return what is timed in every round."""
    found: dict[str, Run] = {
        "by hand": lambda: drained(views_by_hand.TASKS[task](lines(file))),
        "by hand, UTF-8 checked": lambda: drained(views_by_hand.TASKS[task](lines(file), is_checked=True)),
        **ours(compile_view(views_data.VIEWS[task]), file),
        "msgspec decode alone": lambda: each(views_by_hand.DECODERS[task].decode, file),
    }
    orjson = views_others.module("orjson")
    if orjson is None:
        print("orjson is not installed", file=sys.stderr)
    else:
        found["orjson.loads alone"] = lambda: each(orjson.loads, file)
    duckdb = views_others.with_duckdb(task, file)
    return found if duckdb is None else {**found, "DuckDB with a schema": duckdb}


def timed(runs: Mapping[str, Run], rounds: int) -> dict[str, list[float]]:
    """Return the processor seconds of every run in every round."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for at in range(rounds):
        for name in list(runs)[:: 1 if at % 2 else -1]:
            begin = time.process_time()
            runs[name]()
            seconds[name].append(time.process_time() - begin)
    return seconds


def show(title: str, seconds: Mapping[str, list[float]], megabytes: float, base: str) -> None:
    """Print one table: MB a processor second, and how often as fast as the base."""
    print(f"\n### {title}\n\n| | MB/s | x {base} | middle half |\n|---|---|---|---|")
    for name, mine in seconds.items():
        ratios = sorted(one / other for one, other in zip(seconds[base], mine, strict=True))
        low, high = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
        middle = statistics.median(ratios)
        speed = megabytes / statistics.median(mine)
        print(f"| {name} | {speed:.3g} | {middle:.3g} | {low:.3g}-{high:.3g} |", flush=True)


def written(file: Path, resources: Iterable[bytes]) -> float:
    """Write NDJSON; return its megabytes."""
    with file.open("wb") as stream:
        stream.writelines(text + b"\n" for text in resources)
    return file.stat().st_size / 1e6


def compared(task: str, folder: Path, rounds: int) -> None:
    """Time one task, after a look at whether all give the same."""
    file = folder / f"{task}.ndjson"
    megabytes = written(file, views_data.lines(task, RESOURCES[task]))
    runs = competitors(task, file)
    expected = pa.Table.from_batches(compile_view(views_data.VIEWS[task]).batches(lines(file))).to_pylist()
    by_hand = pa.Table.from_batches(views_by_hand.TASKS[task](lines(file))).to_pylist()
    duckdb = runs.get("DuckDB with a schema")
    if expected != by_hand or (duckdb and not same(duckdb(), expected)):
        raise SystemExit(f"task {task}: not all give the same rows")
    show(f"Task {task}", timed(runs, rounds), megabytes, "by hand")


def engines(task: str, folder: Path) -> None:
    """Time the engines that run a ViewDefinition, on fewer resources: they are slow."""
    file = folder / f"{task}.few.ndjson"
    megabytes = written(file, views_data.lines(task, ENGINE_RESOURCES))
    view = compile_view(views_data.VIEWS[task])
    runs: dict[str, Run] = {"ours, rows": lambda: drained(view.rows(lines(file)))}
    for name, make in views_others.ENGINES.items():
        run = make(task, file)
        if run is None:
            print(f"{name} is not installed, or does not load", file=sys.stderr)
        else:
            right = "" if same(run(), list(view.rows(lines(file)))) else " (wrong values)"
            runs[f"{name}{right}"] = run
    show(f"Task {task}, engines", timed(runs, ENGINE_ROUNDS), megabytes, "ours, rows")


def same(found: Any, expected: list[dict[str, Any]]) -> bool:
    """Compare rows in any order of rows and columns."""
    rows = found if isinstance(found, list) else found.to_pylist()
    return sorted(map(_comparable, rows)) == sorted(map(_comparable, expected))


def _comparable(row: Mapping[str, Any]) -> list[str]:
    """Write a row so that any engine's is alike: a key may be an id or `Type/id`."""
    keys = {key: str(row[key]).rpartition("/")[2] for key in ("id", "patient")}
    return [f"{key}={value}" for key, value in sorted({**row, **keys}.items())]


def many_views(folder: Path, rounds: int) -> None:
    """Time ten views like that of task a over one file in one pass against one."""
    file = folder / "many.ndjson"
    megabytes = written(file, views_data.lines("a", RESOURCES["a"]))
    definitions = [views_data.condition_view(code) for code in views_data.CODES[:MANY]]
    together, one = compile_views(definitions), compile_view(definitions[0])
    runs: dict[str, Run] = {
        "one view": lambda: drained(one.batches(lines(file))),
        f"{MANY} views in one pass": lambda: drained(together.batches(lines(file))),
    }
    show(f"{MANY} views over one file", timed(runs, rounds), megabytes, "one view")


def compile_times() -> None:
    """Print how long compiling takes once another view was compiled."""
    print("\n### Compiling, after the first view\n\n| view | ms |\n|---|---|")
    for task, definition in views_data.VIEWS.items():
        seconds = []
        for _ in range(5):
            begin = time.process_time()
            drained(compile_view(definition).batches([]))
            seconds.append(time.process_time() - begin)
        print(f"| {task} | {statistics.median(seconds) * 1000:.1f} |")


def memory(folder: Path) -> None:
    """Print the peak memory of a process that runs a view over a small and over a large file."""
    print("\n### Memory, batches\n\n| task | file, MB | peak of the process, MB |\n|---|---|---|")
    for task in views_data.VIEWS:
        some = views_data.lines(task, RESOURCES[task])
        for copies in (10, 60):
            file = folder / "memory.ndjson"
            megabytes = written(file, some * copies)
            command = [sys.executable, __file__, "--peak", task, str(file)]
            peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
            print(f"| {task} | {megabytes:.0f} | {peak} |", flush=True)


def peak(task: str, file: Path) -> None:
    """Run a view over a file and print the peak memory of this process in MB."""
    drained(compile_view(views_data.VIEWS[task]).batches(lines(file)))
    # Not ru_maxrss, which a process takes over from the one that started it.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(round(int(status["VmHWM"].split()[0]) / 1024))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--tasks", default=",".join(views_data.VIEWS))
    parser.add_argument("--without-engines", action="store_true")
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        peak(options.peak[0], Path(options.peak[1]))
        return
    print(f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for task in options.tasks.split(","):
            compared(task, folder, options.rounds)
        if not options.without_engines:
            for task in options.tasks.split(","):
                engines(task, folder)
        many_views(folder, options.rounds)
        compile_times()
        memory(folder)


if __name__ == "__main__":
    main()
