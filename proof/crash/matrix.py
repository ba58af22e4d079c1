"""Runs flows with a traced agent: once to find the points, then once for each point with a ``kill -9`` there."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from proof.crash.flows import Flow, Site, Step, site

from hybrid_drivers.errors import HybridError

ROOT = Path(__file__).resolve().parents[2]
MOST_CYCLES = 4
TURN = 120.0  # seconds for a turn without a kill
UNNAMED = "UNNAMED"

When = Literal["before", "after"]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One kill."""

    flow: str
    driver: str
    point: str
    when: When


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What came of it. ``cycles``: restarts with a round of START_MONITOR until all was well; 0: it never was."""

    case: Case
    killed: bool
    cycles: int = 0
    orphans: int = 0
    duplicates: int = 0
    problem: str = ""


class Turns:
    """Turns of one flow in one laboratory, with a traced agent."""

    def __init__(self, flow: Flow, here: Site) -> None:
        self._flow, self._here = flow, here
        self._folder = here.lab.folder / "points"
        self._folder.mkdir()
        here.lab.end_agent()
        _trace(here, self._folder)
        self._restart()

    def find_points(self) -> list[str]:
        """Do a turn undisturbed and return the points met, each once, in order."""
        self._begin()
        self._turn(None)
        return list(dict.fromkeys((self._folder / "met").read_text().splitlines()))

    def kill_at(self, case: Case) -> Ended:
        """Do a turn in which the agent dies at the case's point."""
        machines, blocks = len(self._here.alive()), len(self._here.blocks())
        self._begin()
        made = self._here.made()
        try:
            killed, cycles, problem = *self._turn(case), ""
        except (TimeoutError, HybridError) as exc:
            killed, cycles, problem = not self._order.exists(), 0, str(exc)[:500]
        made = self._here.made() - made
        self._order.unlink(missing_ok=True)
        orphans = self._left(machines, blocks)
        duplicates = max(0, made - self._flow.rents) if self._here.driver != "static" else 0
        return Ended(case=case, killed=killed, cycles=cycles, orphans=orphans, duplicates=duplicates, problem=problem)

    @property
    def _order(self) -> Path:
        return self._folder / "order"

    def _begin(self) -> None:
        here = self._here
        if here.lab.agent_pid() is None:
            self._restart()
        self._flow.between(here)
        (self._folder / "met").write_text("")

    def _turn(self, case: Case | None) -> tuple[bool, int]:
        """Do every step; return whether the agent was killed, and in how many cycles all was well then."""
        if case is not None:
            order = {"point": case.point, "when": case.when}
            new = self._folder / "order.new"
            new.write_text(json.dumps(order))
            new.replace(self._order)
        cycles, killed, pid = 1, False, self._here.lab.agent_pid()
        for step in self._flow.steps:
            try:
                step.ask(self._here)
            except HybridError:  # a call that died with the agent is seen by what did not come of it
                if case is None or self._order.exists():
                    raise
            until = time.monotonic() + (self._flow.patience if killed else TURN)
            while not self._came(step):
                if case is not None and not killed and not self._order.exists():
                    killed = True
                    self._die(pid)
                    self._revive()
                    until = time.monotonic() + self._flow.patience
                self._restart()  # one that had nothing to do has ended by itself
                if time.monotonic() > until:
                    if not killed or cycles >= MOST_CYCLES:
                        raise TimeoutError(f"not within {cycles} cycles: {self._here.lab.frontend.summary()}")
                    cycles, until = cycles + 1, time.monotonic() + self._flow.patience
                    self._revive()
                time.sleep(0.03)
        if case is not None and not killed and not self._order.exists():
            killed = True
            self._die(pid)
            self._revive()
        return killed, cycles

    def _came(self, step: Step) -> bool:
        try:
            return step.came(self._here)
        except HybridError:
            return False

    def _die(self, pid: int | None) -> None:
        """Wait for the end of the agent, which took its order away just before it."""
        until = time.monotonic() + TURN
        while pid is not None and self._here.lab.agent_pid() == pid and time.monotonic() < until:
            time.sleep(0.01)

    def _revive(self) -> None:
        """Start the agent again as systemd does, and let monitord call for each host."""
        self._restart()
        self._here.lab.silence()

    def _restart(self) -> None:
        until = time.monotonic() + TURN
        while self._here.lab.agent_pid() is None:
            done = self._here.lab.run("onehybrid", "agent", "run")
            if time.monotonic() > until:
                raise TimeoutError(f"the agent does not start: {done.stderr}")

    def _left(self, machines: int, blocks: int) -> int:
        """Have people delete what they made, and return how much is rented for nobody then."""
        self._flow.after(self._here)
        until = time.monotonic() + self._flow.patience
        while time.monotonic() < until:
            left = max(0, len(self._here.alive()) - machines) + max(0, len(self._here.blocks()) - blocks)
            if not left:
                return 0
            if self._here.lab.agent_pid() is None:
                self._restart()
            time.sleep(0.05)
        return left


def _trace(here: Site, folder: Path) -> None:
    """Have the laboratory's interpreter start a traced agent; everything else it runs as it was."""
    venv = here.lab.location.lib / "venv"
    real = venv.resolve()
    venv.unlink()
    (venv / "bin").mkdir(parents=True)
    for path in real.iterdir():
        if path.name != "bin":
            (venv / path.name).symlink_to(path)
    for path in (real / "bin").iterdir():
        (venv / "bin" / path.name).symlink_to(path)
    python = venv / "bin/python"
    python.unlink()
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from proof.crash.tracer import main; main()"
    code += "  # hybrid_drivers.agent.daemon"  # by which a laboratory knows its agent
    python.write_text(
        "#!/bin/sh\n"
        'if [ "$2" = -m ] && [ "$3" = hybrid_drivers.agent.daemon ]; then\n'
        "    shift 3\n"
        f'    exec {sys.executable} -I -c "{code}" {folder} {here.driver} "$@"\n'
        "fi\n"
        f'exec {real}/bin/python "$@"\n'
    )
    python.chmod(0o755)


@contextmanager
def turns(flow: Flow, driver: str) -> Iterator[Turns]:
    """Yield a laboratory with a traced agent."""
    with site(flow, driver) as here:
        yield Turns(flow, here)


def points_of(flow: Flow, driver: str) -> list[str]:
    """Return the points of a flow with a provider."""
    with turns(flow, driver) as made:
        return made.find_points()


def run(flow: Flow, driver: str, cases: Sequence[Case], tries: int = 2) -> list[Ended]:
    """Carry out cases of one flow and one driver, one after another.

    A point that was not met is tried again, at last in a laboratory of its own: some are met once in its life.
    """
    found: dict[Case, Ended] = {}
    with turns(flow, driver) as made:
        for case in cases:
            found[case] = _tried(made, case, tries)
    for case, outcome in found.items():
        if not outcome.killed and not outcome.problem:
            with turns(flow, driver) as made:
                found[case] = _tried(made, case, 1)
    return list(found.values())


def _tried(made: Turns, case: Case, tries: int) -> Ended:
    outcome = made.kill_at(case)
    while tries > 1 and not outcome.killed and not outcome.problem:
        outcome, tries = made.kill_at(case), tries - 1
    return outcome
