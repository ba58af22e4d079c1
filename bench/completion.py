"""How long a TAB takes: our commands answering what a shell's completion asks.

    python bench/completion.py [--runs 20]

Each question is asked in turns with a Python that only imports click, the floor of it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from hybrid_drivers.cli.main import GROUPS

TARGET = 200.0  # ms, p50 on an idle machine with 2 cores: less is not felt as waiting
PROGRAM = str(Path(sys.executable).with_name("onehybrid"))


def ask(command: list[str], line: str) -> float:
    """Return the milliseconds ``command`` takes to complete the last word of ``line``."""
    words = line.split(" ")
    asked = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1), "_ONEHYBRID_COMPLETE": "bash_complete"}
    began = time.perf_counter()
    subprocess.run(command, env={**os.environ, **asked}, stdout=subprocess.DEVNULL, check=True)
    return (time.perf_counter() - began) * 1000


def main() -> None:
    """Print the median of each question."""
    parser = argparse.ArgumentParser(description="Time of a completion.")
    parser.add_argument("--runs", type=int, default=20)
    runs = parser.parse_args().runs
    lines = ["onehybrid ", "onehybrid agent "]
    for group, words in {"provision": ["", "create --", "host list --"], "provider": ["list --"]}.items():
        lines += [f"onehybrid {group} {word}" for word in words if group in GROUPS]
    questions = {
        "import click": ([sys.executable, "-c", "import click"], ""),
        **{one: ([PROGRAM], one) for one in lines},
    }
    times: dict[str, list[float]] = {name: [] for name in questions}
    for _ in range(runs):
        for name, (command, line) in questions.items():
            times[name].append(ask(command, line))
    for name, taken in times.items():
        print(f"{name:<32}{statistics.median(taken):7.0f} ms   (target {TARGET:.0f})")


if __name__ == "__main__":
    main()
