"""How long a call takes from starting the thin client to its answer, with the agent up.

    python bench/driver_start.py [--runs 200]

Measured in turns in one run, so that a busy machine slows all columns alike:
* the executable oned runs (``remotes/``: sh, then the thin client), which is what a call costs,
* the thin client alone,
* a Python interpreter that does nothing (``-IS -c pass``), the floor of the above,
* ``ruby -e 'require "json"; require "rexml/document"'``, the floor of what a driver in Ruby pays.
The agent carries a toy core that echoes, so no work is in the figures.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.agent_tree import agent_tree

TARGET = 30.0  # ms, p50 of the executable, on an idle machine with 2 cores (DESIGN: budgets)
EXECUTABLE = "var/remotes/im/provision.d/monitord-client_control.sh"
START_MONITOR = Path(__file__).parents[1] / "tests/data/oned-7.4/actions/im.start_monitor.xml"


def run_once(command: Sequence[str], environment: dict[str, str], stdin: Path) -> float:
    """Run ``command`` and return its wall time in milliseconds; it must succeed."""
    files = [
        (os.POSIX_SPAWN_OPEN, 0, str(stdin), os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
    ]
    began = time.perf_counter()
    pid = os.posix_spawn(command[0], list(command), environment, file_actions=files)
    _, status = os.waitpid(pid, 0)
    took = (time.perf_counter() - began) * 1000
    if status:
        sys.exit(f"{command[0]} failed with {os.waitstatus_to_exitcode(status)}")
    return took


def measure(
    commands: dict[str, list[str]], runs: int, environment: dict[str, str], stdin: Path
) -> dict[str, list[float]]:
    """Run every command ``runs`` times, in turns; return the sorted times of each."""
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(runs):
        for name, command in commands.items():
            times[name].append(run_once(command, environment, stdin))
    return {name: sorted(taken) for name, taken in times.items()}


def main() -> None:
    """Print p50 and p95 of each column and the ratio to Ruby."""
    parser = argparse.ArgumentParser(description="Time of a driver call with the agent up.")
    parser.add_argument("--runs", type=int, default=200)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder, agent_tree(Path(folder) / "one") as tree:
        tree.status()
        words = ["provision", "6", "edge9"]
        commands = {
            "executable": [str(tree.top / EXECUTABLE), *words],
            "thin client": [str(tree.client), "im", "provision", "monitord-client_control", *words],
            "python -IS": [os.path.realpath(sys.executable), "-IS", "-c", "pass"],
        }
        if ruby := shutil.which("ruby"):
            commands["ruby"] = [ruby, "-e", 'require "json"; require "rexml/document"']
        times = measure(commands, runs, tree.environment, START_MONITOR)
    print(f"{runs} runs each, in turns; load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for name, taken in times.items():
        print(f"{name:12} p50 {statistics.median(taken):6.1f} ms   p95 {taken[int(len(taken) * 0.95)]:6.1f} ms")
    ours = statistics.median(times["executable"])
    if "ruby" in times:
        print(f"ratio to ruby: {ours / statistics.median(times['ruby']):.2f}")
    else:
        print("ratio to ruby: left out, ruby is not installed")
    print(f"budget {TARGET:.0f} ms p50: {'kept' if ours <= TARGET else 'MISSED'}")


if __name__ == "__main__":
    main()
