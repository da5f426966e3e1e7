"""Time the main job: `run` on the fixture and on 100 times the fixture, and the demo twice.

    python tests/benchmarks/run.py [--copies 100] [--rounds 3] [--without-demo]

Prints, for each, the wall-clock seconds (median of the rounds), processor seconds, and the peak memory of the process.
Not a test: figures depend on the machine. The targets stand beside them.
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
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BRIDGE = Path(sys.executable).with_name("outcome-bridge")


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """One process: seconds by the clock, seconds of processor, MB at its peak, exit status."""

    wall: float
    processor: float
    peak_mb: float
    status: int


def timed(arguments: list[str], folder: Path) -> Timing:
    """Run a command in a folder, and read what it used from the operating system's own account."""
    begin = time.perf_counter()
    with (folder / "output.txt").open("ab") as output:
        process = subprocess.Popen(arguments, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
    return Timing(
        wall=time.perf_counter() - begin,
        processor=usage.ru_utime + usage.ru_stime,
        peak_mb=usage.ru_maxrss / 1024,
        status=os.waitstatus_to_exitcode(status),
    )


def show(name: str, timings: list[Timing], target: str, expected_status: int) -> None:
    """Print one line of the table."""
    unexpected = sorted({one.status for one in timings} - {expected_status})
    walls = [one.wall for one in timings]
    middle = statistics.median(walls)
    spread = f"{min(walls):.1f}-{max(walls):.1f}"
    processor = statistics.median(one.processor for one in timings)
    peak = max(one.peak_mb for one in timings)
    remark = f"  exit status {unexpected}, expected {expected_status}" if unexpected else ""
    print(f"| {name} | {middle:.1f} | {spread} | {processor:.1f} | {peak:.0f} | {target} |{remark}", flush=True)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--copies", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--without-demo", action="store_true")
    options = parser.parse_args()
    machine = f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}"
    print(f"{machine}, {options.rounds} rounds")
    print("| what | seconds, median | range | processor seconds | peak MB | target |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        study = [str(BRIDGE), "run", "--out", "results", "--data"]
        fixture = [*study, str(ROOT / "fixtures" / "export")]
        show("run, fixture", [timed(fixture, folder) for _ in range(options.rounds)], "10 s", 3)
        generate = [sys.executable, str(ROOT / "fixtures" / "generate.py"), "--copies", str(options.copies)]
        subprocess.run([*generate, "--out", "large"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        large = [*study, "large/export"]
        rounds = [timed(large, folder) for _ in range(options.rounds)]
        show(f"run, {options.copies} x fixture", rounds, "120 s, 600 MB", 3)
        if not options.without_demo:
            sekmet = str(ROOT / ".sekmet" / "bin" / "sekmet")
            demo = [str(BRIDGE), "demo", "--sekmet", sekmet]
            show("demo, first (our process only in MB)", [timed(demo, folder)], "90 s", 0)
            show("demo, again", [timed(demo, folder)], "", 0)


if __name__ == "__main__":
    main()
