"""Reading what a running script reports (the protocol is in ``script.py``)."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from hybrid_drivers.errors import HostError, HostUnreachable, StepFailed
from hybrid_drivers.hostconfig.script import PROTOCOL, Script


class StepStatus(enum.Enum):
    """What a report says of its step; ``START`` says that it begins, only Ansible's have ``SKIPPED``."""

    START = "start"
    OK = "ok"
    CHANGED = "changed"
    WOULD_CHANGE = "would-change"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """One step beginning or ending: ``number`` of ``total``, seconds it took, notes and stderr lines for people."""

    number: int
    total: int
    role: str
    name: str
    status: StepStatus
    seconds: float = 0.0
    exit_code: int = 0
    notes: tuple[str, ...] = ()
    stderr: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """A whole run: the final report of each step, and seconds from sending to the end."""

    steps: tuple[StepReport, ...]
    seconds: float

    @property
    def changed(self) -> tuple[StepReport, ...]:
        """Return the steps that were changed, or would be."""
        return tuple(s for s in self.steps if s.status in (StepStatus.CHANGED, StepStatus.WOULD_CHANGE))


class ReportReader:
    """Takes a script's stdout in pieces, calls ``on_step`` with what it says, and sums it up."""

    def __init__(self, host: str, script: Script, on_step: Callable[[StepReport], None]) -> None:
        self._host, self._script, self._on_step = host, script, on_step
        self._rest = b""
        self._begun = self._ended = False
        self._fatal = ""
        self._notes: list[str] = []
        self._stderr: list[str] = []
        self._last: StepReport | None = None
        self._done: list[StepReport] = []

    def feed(self, data: bytes) -> None:
        """Take the next piece."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._line(line.decode(errors="replace"))

    def result(self, code: int, stderr: str, seconds: float) -> RunReport:
        """Tell how the run ended.

        Raises:
            StepFailed, HostUnreachable, HostError: as ``Session.run_script`` says.
        """
        if self._last and self._last.status is StepStatus.FAILED:
            failed = self._last
            raise StepFailed(self._host, failed.role, failed.name, failed.exit_code, "\n".join(failed.stderr))
        reason = " ".join(stderr.split())[-300:]
        if self._fatal:
            raise HostError(f"{self._host}: {self._fatal}")
        if not self._begun:
            raise HostError(f"{self._host}: the configuration did not start: {reason or f'exit code {code}'}")
        if not self._ended:
            where = f" in step '{self._last.name}' of role {self._last.role}" if self._last else ""
            raise HostUnreachable(f"{self._host}: the configuration was cut off{where}: {reason or 'no reason told'}")
        return RunReport(steps=tuple(self._done), seconds=seconds)

    def _line(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if word == "@hybrid":
            self._begin(rest)
        elif word == "@fatal":
            self._fatal = rest
        elif not self._begun:
            return  # a login banner, or a shell start file that prints
        elif word == "@step":
            self._step(rest.split())
        elif word == "@info":
            self._notes.append(rest.partition(" ")[2])
        elif word == "@stderr":
            self._stderr.append(rest.partition(" ")[2])
        elif word == "@end":
            self._ended = True

    def _begin(self, rest: str) -> None:
        if rest.split()[:2] != [str(PROTOCOL), str(len(self._script.steps))]:
            raise HostError(f"{self._host}: it does not run the script it was sent (it says '{rest[:60]}')")
        self._begun = True

    def _step(self, fields: list[str]) -> None:
        try:
            number, total, status = int(fields[0]), int(fields[1]), StepStatus(fields[2])
            code = int(fields[3]) if status is StepStatus.FAILED else 0
            seconds = 0.0 if status is StepStatus.START else float(fields[-1])
            step = self._script.steps[number - 1]
        except (ValueError, IndexError) as exc:
            raise HostError(f"{self._host}: the configuration reports '@step {' '.join(fields)[:60]}'") from exc
        self._last = StepReport(
            number=number,
            total=total,
            role=step.role,
            name=step.name,
            status=status,
            seconds=seconds,
            exit_code=code,
            notes=tuple(self._notes),
            stderr=tuple(self._stderr),
        )
        if status is not StepStatus.START:
            self._done.append(self._last)
        self._notes, self._stderr = [], []
        self._on_step(self._last)
