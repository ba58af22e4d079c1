"""Reading what our callback plugin reports while ``ansible-playbook`` runs (``ansible_callback/``), and its errors."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from hybrid_drivers.errors import ConfigError, HostError, HostKeyMismatch, HostUnreachable, StepFailed
from hybrid_drivers.hostconfig.report import RunReport, StepReport, StepStatus

_LONGEST = 120  # characters of a task's name
_ODD = re.compile(r"[^\w .,:;/()=+*@%'-]+")
_INPUT_ERRORS = (1, 4, 5)  # ansible.cli's exit codes of AnsibleError, AnsibleParserError and AnsibleOptionsError
_STATUS = {
    "ok": StepStatus.OK,
    "changed": StepStatus.CHANGED,
    "skipped": StepStatus.SKIPPED,
    "ignored": StepStatus.OK,
    "failed": StepStatus.FAILED,
    "unreachable": StepStatus.FAILED,
}
_ERROR = re.compile(r"^(?:ERROR! |\[ERROR\]: )(.*?)(?:\n\s*\n|\nOrigin:|\Z)", re.MULTILINE | re.DOTALL)
_ORIGIN = (
    re.compile(r"^Origin: (\S+?):(\d+)", re.MULTILINE),  # 2.19
    re.compile(r"error appears to be in\s+'([^']+)':\s+line\s+(\d+)"),  # before it
)


@dataclass
class EventReader:
    """Takes the plugin's events in pieces, calls ``on_step`` with what they say, and sums them up.

    How many tasks there will be is only known in part beforehand (included files, handlers): ``total`` of the
    reports grows when there are more.
    """

    host: str
    playbook: str
    on_step: Callable[[StepReport], None]
    check_only: bool
    _rest: bytes = b""
    _total: int = 0
    _begun: int = 0
    _started: dict[str, StepReport] = field(default_factory=dict)
    _done: list[StepReport] = field(default_factory=list)
    _unreachable: StepReport | None = None
    _nobody: str = ""

    def feed(self, data: bytes) -> None:
        """Take the next piece."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._event(json.loads(line))

    def result(self, code: int, stderr: str, seconds: float) -> RunReport:
        """Tell how the run ended, from what was reported, the exit code and what Ansible printed.

        Raises:
            StepFailed, HostUnreachable, HostKeyMismatch: as for a script of ours.
            ConfigError: Ansible refuses the playbook, or none of its plays is for this host.
            HostError: anything else that kept it from its end.
        """
        if code != 0:
            raise self._failure(code, stderr)
        if self._nobody and not self._done:
            raise ConfigError(
                f"playbook {self.playbook}: nothing in it is for {self.host} (play '{self._nobody}'): "
                "give its plays hosts: nodes, targets or all"
            )
        return RunReport(steps=tuple(_rescued(step) for step in self._done), seconds=seconds)

    def _failure(self, code: int, stderr: str) -> HostError | ConfigError:
        failed = [step for step in self._done if step.status is StepStatus.FAILED]
        if failed:
            last = failed[-1]
            if last is self._unreachable:
                return self._lost(last)
            return StepFailed(self.host, last.role, last.name, last.exit_code, "\n".join(last.stderr))
        reason = said(stderr)
        if code in _INPUT_ERRORS and reason:
            return ConfigError(f"playbook {self.playbook}: {reason}")
        return HostError(
            f"{self.host}: ansible-playbook {self.playbook} ended with exit code {code}: {reason or 'no reason told'}"
        )

    def _lost(self, step: StepReport) -> HostError:
        reason = " ".join(" ".join(step.stderr).split())[-300:]
        text = f"{self.host}: unreachable in step '{step.name}' of role {step.role}: {reason or 'no reason told'}"
        return HostKeyMismatch(text) if "Host key verification failed" in reason else HostUnreachable(text)

    def _event(self, event: dict[str, Any]) -> None:
        kind = event.get("event")
        if kind == "plan":
            self._total = int(event["total"])
        elif kind == "nobody":
            self._nobody = _label(event["play"])
        elif kind == "start":
            self._start(str(event["task"]), _label(event["role"]), _label(event["name"]))
        elif kind == "end" and event["task"] in self._started:
            self._end(self._started[event["task"]], event)

    def _start(self, task: str, role: str, name: str) -> None:
        self._begun += 1
        self._total = max(self._total, self._begun)
        report = StepReport(number=self._begun, total=self._total, role=role, name=name, status=StepStatus.START)
        self._started[task] = report
        self.on_step(report)

    def _end(self, started: StepReport, event: dict[str, Any]) -> None:
        status = _STATUS[event["status"]]
        if self.check_only and status is StepStatus.CHANGED:
            status = StepStatus.WOULD_CHANGE
        text = tuple(str(line) for line in event.get("text", ()))
        ignored = event["status"] == "ignored"
        report = replace(
            started,
            total=self._total,
            status=status,
            seconds=float(event["seconds"]),
            exit_code=int(event.get("code", 0)) if status is StepStatus.FAILED else 0,
            notes=(_allowed(text),) if ignored else (),
            stderr=() if ignored else text,
        )
        # Of a task delegated to another machine it is that one which cannot be reached: a failed task of this host.
        if event["status"] == "unreachable" and event.get("elsewhere", "") in ("", self.host):
            self._unreachable = report
        self._done.append(report)
        self.on_step(report)


def said(stderr: str) -> str:
    """Return the first error Ansible printed as one sentence, with the place it names.

    Its messages are wrapped at the width of a terminal and end at an empty line.
    """
    found = _ERROR.search(stderr)
    text = " ".join((found.group(1) if found else stderr[-300:]).split())
    for pattern in _ORIGIN:
        if (place := pattern.search(stderr)) and place.group(1) not in text:
            return f"{text} ({place.group(1)}, line {place.group(2)})"
    return text


def _rescued(step: StepReport) -> StepReport:
    """A failure after which the playbook still succeeded was handled by it (``rescue``)."""
    if step.status is not StepStatus.FAILED:
        return step
    return replace(step, status=StepStatus.OK, exit_code=0, notes=(_allowed(step.stderr),), stderr=())


def _allowed(text: tuple[str, ...]) -> str:
    return f"failed, as it may: {' / '.join(text) or 'no output'}"


def _label(name: object) -> str:
    """Name a task as steps are named: one line of plain characters."""
    return " ".join(_ODD.sub(" ", str(name)).split())[:_LONGEST] or "unnamed"
