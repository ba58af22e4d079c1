"""What a row of the proof is, and how rows are run and told.

A row is a file in this folder with ``ROWS``. Most are *stories*: a function that plays one run of a simulated world for
a seed and tells what came of it; :func:`seeded` runs many of them on all processors. Anything else (processes, real
time) is a row with a ``run`` of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import logging
import os
import pkgutil
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

FOLDER = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one run. ``figures`` are added up over all runs, those named ``most ...`` are maxima."""

    seed: int
    violations: Sequence[str] = ()
    figures: Mapping[str, float] = field(default_factory=dict)
    trace: str = ""


@dataclass(frozen=True, kw_only=True)
class Ask:
    """How a row is to be run: how many runs, the seed of the first (the others count on), how many processes."""

    runs: int
    seed: int
    workers: int


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a row says. ``violations`` must be empty; ``failures`` are the runs that tell why they are not."""

    done: str
    figures: Mapping[str, float]
    violations: Sequence[str] = ()
    failures: Sequence[Outcome] = ()


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row: ``runs`` is what ``make proof`` does, and ``run`` does it."""

    name: str
    what: str
    runs: int
    run: Callable[[Ask], Result]


Story = Callable[[int], Outcome]


def seeded(story: Story, unit: str = "runs") -> Callable[[Ask], Result]:
    """Return a ``run`` that plays ``story`` for each seed."""

    def run(ask: Ask) -> Result:
        figures: Counter[str] = Counter()
        failures: list[Outcome] = []
        violations: Counter[str] = Counter()
        for outcome in _played(story, ask):
            for name, value in outcome.figures.items():
                figures[name] = max(figures[name], value) if name.startswith("most ") else figures[name] + value  # type: ignore[assignment]
            if outcome.violations:
                violations.update(one.partition(":")[0] for one in outcome.violations)
                failures.append(outcome)
        told = [f"{count} x {what}" for what, count in violations.items()]
        failures.sort(key=lambda one: one.seed)
        return Result(done=f"{ask.runs:,} {unit}", figures=figures, violations=told, failures=failures)

    return run


def _played(story: Story, ask: Ask) -> Iterator[Outcome]:
    seeds = range(ask.seed, ask.seed + ask.runs)
    if ask.workers == 1 or ask.runs == 1:
        yield from map(story, seeds)
        return
    with get_context("fork").Pool(ask.workers, _be_quiet) as pool:
        yield from pool.imap_unordered(story, seeds, chunksize=max(1, min(50, ask.runs // (4 * ask.workers))))


def _be_quiet() -> None:
    logging.disable(logging.CRITICAL)  # millions of lines nobody reads


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Return a folder for one run, in memory where there is such a place."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="onehybrid-proof-", dir=memory if memory.is_dir() else None) as name:
        yield Path(name)


# --- the command ------------------------------------------------------------------------------------------------------


def all_rows() -> list[Row]:
    """Return the rows of all files of this folder."""
    names = sorted(one.name for one in pkgutil.iter_modules([str(FOLDER)]) if one.name not in ("rows", "__main__"))
    modules = [importlib.import_module(f"proof.{name}") for name in names]
    return [row for module in modules for row in getattr(module, "ROWS", ())]


def main(rows: Sequence[Row]) -> int:
    """Run rows as the command line says, print the table; returns the exit code: 1 when anything was violated."""
    parser = argparse.ArgumentParser(description="; ".join(f"{row.name}: {row.what}" for row in rows))
    parser.add_argument("rows", nargs="*", help="names of rows; all when none is given")
    parser.add_argument("--runs", type=int, help="runs of each row instead of its own number")
    parser.add_argument("--scale", type=float, default=1.0, help="part of its own number of runs that each row does")
    parser.add_argument("--seed", type=int, help="of the first run; drawn and printed when not given")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes at once")
    parser.add_argument("--json", type=Path, help="a file to write the table to as JSON")
    asked = parser.parse_args()
    known = {row.name: row for row in rows}
    if unknown := set(asked.rows) - known.keys():
        parser.error(f"there is no row {', '.join(unknown)}; there are {', '.join(known)}")
    seed = random.SystemRandom().randrange(10**9) if asked.seed is None else asked.seed
    _be_quiet()
    print(f"seed {seed}", flush=True)
    told = []
    for row in rows:
        if asked.rows and row.name not in asked.rows:
            continue
        runs = asked.runs or max(1, round(row.runs * asked.scale))
        begun = time.monotonic()
        result = row.run(Ask(runs=runs, seed=seed, workers=asked.workers))
        told.append((row, result, time.monotonic() - begun))
        print(_line(*told[-1]), flush=True)
        _tell_failures(row, result)
    if asked.json:
        asked.json.write_text(json.dumps({"seed": seed, "rows": [_plain(*one) for one in told]}, indent=1) + "\n")
    return int(any(result.violations for _, result, _ in told))


def _line(row: Row, result: Result, seconds: float) -> str:
    figures = ", ".join(
        f"{value:g} {name}" if value < 10_000 else f"{value:,.0f} {name}" for name, value in result.figures.items()
    )
    verdict = "holds" if not result.violations else f"VIOLATED: {'; '.join(result.violations)}"
    return f"| {row.name} | {row.what}: {result.done} | {figures} | {verdict} | {seconds:.0f} s |"


def _plain(row: Row, result: Result, seconds: float) -> dict[str, object]:
    failing = [one.seed for one in result.failures]
    told = {"done": result.done, "figures": dict(result.figures), "violations": list(result.violations)}
    return {"row": row.name, "what": row.what, **told, "failing_seeds": failing, "seconds": round(seconds, 1)}


def _tell_failures(row: Row, result: Result) -> None:
    kinds: dict[str, Outcome] = {}
    for one in result.failures:
        for violation in one.violations:
            kinds.setdefault(violation.partition(":")[0], one)
    for kind in kinds:
        seeds = [one.seed for one in result.failures if any(v.startswith(kind) for v in one.violations)]
        print(f"\nrow {row.name}: {kind}: seeds {', '.join(map(str, seeds[:20]))}", file=sys.stderr)
    for one in {one.seed: one for one in kinds.values()}.values():
        print(f"\nrow {row.name} failed: {'; '.join(one.violations)}\n{one.trace}", file=sys.stderr)
        print(f"again: python -m proof {row.name} --runs 1 --seed {one.seed}\n", file=sys.stderr, flush=True)
