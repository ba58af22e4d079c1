"""``kill -9`` of the agent before and after each of its effects on the world, in each flow, with each provider.

    .venv/bin/python -m proof.crash_matrix [--flow create ...] [--driver packet ...] [--workers 4] [--points FILE]

Each flow is run once undisturbed to find its points, then once for each point and each side of it: real agent, real
executables, real HTTP, real SSH, on the sandbox. The agent is started again as systemd does, and monitord calls for
each host once: a cycle. Printed for each flow and provider:

``points`` found, ``kills`` carried out of those that were due, ``orphans`` (machines and address blocks that are still
there when people have deleted what they made), ``doubles`` (machines rented beyond what was asked for), ``cycles`` (the
most that any kill needed), ``lost`` (kills after which the wish never came true), ``unnamed`` (effects outside all
points). ``--points`` writes the points down, for the test that looks for effects in the code that have none.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from proof.crash.flows import FLOWS, Flow
from proof.crash.matrix import UNNAMED, Case, Ended, When, points_of, run
from proof.rows import Ask, Result, Row

CHUNK = 8  # kills in one laboratory
DRIVERS = ("packet", "ec2", "static")
SIDES: tuple[When, ...] = ("before", "after")
GOAL = 2  # cycles
ALL = 10_000  # more than there are

Pair = tuple[str, str]  # flow and provider
A = TypeVar("A")
B = TypeVar("B")


@dataclass(kw_only=True)
class Part:
    """The figures of one flow with one provider."""

    pair: Pair
    points: Sequence[str]
    unnamed: Sequence[str]
    due: Sequence[Case] = ()
    outcomes: list[Ended] = field(default_factory=list)

    @property
    def figures(self) -> dict[str, int]:
        """Return the columns of the table."""
        done = self.outcomes
        return {
            "points": len(self.points),
            "kills": sum(one.killed for one in done),
            "due": len(self.due),
            "orphans": sum(one.orphans for one in done),
            "doubles": sum(one.duplicates for one in done),
            "most cycles": max((one.cycles for one in done), default=0),
            "lost": sum(bool(one.problem) for one in done),
            "unnamed": len(self.unnamed),
        }

    @property
    def broken(self) -> list[str]:
        """Return what broke the promise."""
        name = "/".join(self.pair)
        found = [f"{name}: {one}" for one in self.unnamed]
        for one in self.outcomes:
            good = one.killed and not one.problem and 0 < one.cycles <= GOAL
            if not good or one.orphans or one.duplicates:
                found.append(f"{name}: {one}")
        return found


def matrix(pairs: Sequence[Pair], workers: int, most: int = ALL, seed: int = 0) -> list[Part]:
    """Find the points of flows and kill at ``most`` of them, drawn by ``seed``; all when there are no more."""
    parts: dict[Pair, Part] = {}
    for pair, points in zip(pairs, _spread(_points, pairs, workers), strict=True):
        named = [one for one in points if not one.startswith(UNNAMED)]
        parts[pair] = Part(pair=pair, points=named, unnamed=sorted(set(points) - set(named)))
    cases = [
        Case(flow=flow, driver=driver, point=point, when=side)
        for (flow, driver), part in parts.items()
        for point in part.points
        for side in SIDES
    ]
    chosen = set(random.Random(seed).sample(cases, min(most, len(cases))))
    for pair, part in parts.items():
        part.due = [one for one in cases if one in chosen and (one.flow, one.driver) == pair]
    labs = [chunk for part in parts.values() for chunk in _chunks(part.due)]
    for outcomes in _spread(_kill, labs, workers):
        for one in outcomes:
            parts[one.case.flow, one.case.driver].outcomes.append(one)
    return list(parts.values())


def _spread(work: Callable[[A], B], items: Iterable[A], workers: int) -> Iterator[B]:
    """Do the work in processes, each with one laboratory in its life."""
    with get_context("fork").Pool(workers, maxtasksperchild=1) as pool:
        yield from pool.imap(work, items, chunksize=1)


def _points(pair: Pair) -> list[str]:
    return points_of(_flow(pair[0]), pair[1])


def _kill(cases: Sequence[Case]) -> list[Ended]:
    return run(_flow(cases[0].flow), cases[0].driver, cases)


def _flow(name: str) -> Flow:
    return next(one for one in FLOWS if one.name == name)


def _chunks(cases: Sequence[Case]) -> Iterator[list[Case]]:
    left = iter(cases)
    while part := list(islice(left, CHUNK)):
        yield part


def _pairs(flows: Sequence[str], drivers: Sequence[str]) -> list[Pair]:
    return [(one.name, driver) for one in FLOWS if one.name in flows for driver in one.drivers if driver in drivers]


def prove(ask: Ask) -> Result:
    """Run the matrix as a row of the table."""
    parts = matrix(_pairs([one.name for one in FLOWS], DRIVERS), 2 * ask.workers, ask.runs, ask.seed)
    figures: dict[str, float] = {}
    for part in parts:
        for name, value in part.figures.items():
            figures[name] = (
                max(figures.get(name, 0), value) if name.startswith("most") else figures.get(name, 0) + value
            )
    broken = [text for part in parts for text in part.broken]
    return Result(done=f"{figures['due']:.0f} kills in {len(parts)} flows", figures=figures, violations=broken)


ROWS = (Row(name="crash", what="kill -9 before and after each effect of the agent", runs=1_500, run=prove),)


def main() -> int:
    """Run the matrix of some flows and providers; 1 when a promise was broken."""
    names = [one.name for one in FLOWS]
    parser = argparse.ArgumentParser(description="kill -9 of the agent around each of its effects")
    parser.add_argument("--flow", action="append", choices=names, help="only these")
    parser.add_argument("--driver", action="append", choices=DRIVERS, help="only these providers")
    parser.add_argument("--workers", type=int, default=2 * (os.cpu_count() or 1))
    parser.add_argument("--runs", type=int, default=ALL, help="only so many kills")
    parser.add_argument("--seed", type=int, default=0, help="which")
    parser.add_argument("--points", type=Path, help="write the points found into this file")
    options = parser.parse_args()
    began = time.monotonic()
    pairs = _pairs(options.flow or names, options.driver or DRIVERS)
    parts = matrix(pairs, options.workers, options.runs, options.seed)
    head = ["flow", "provider", *parts[0].figures]
    for columns in (head, *([*one.pair, *map(str, one.figures.values())] for one in parts)):
        print("  ".join(f"{one:>11}" for one in columns))
    broken = [text for part in parts for text in part.broken]
    print("\n".join([*broken, f"{sum(len(one.outcomes) for one in parts)} kills, {time.monotonic() - began:.0f} s"]))
    if options.points:
        found: dict[str, dict[str, Sequence[str]]] = {}
        for part in parts:
            found.setdefault(part.pair[0], {})[part.pair[1]] = part.points
        options.points.write_text(json.dumps(found, indent=1) + "\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
