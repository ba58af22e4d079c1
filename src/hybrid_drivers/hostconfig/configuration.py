"""A host's whole configuration: its playbooks compiled, to be run over one connection."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import yaml

from hybrid_drivers.errors import HostError
from hybrid_drivers.hostconfig import ansible
from hybrid_drivers.hostconfig.ansible import AnsiblePlaybook
from hybrid_drivers.hostconfig.facts import Facts
from hybrid_drivers.hostconfig.playbooks import is_path, roles_of
from hybrid_drivers.hostconfig.report import RunReport, StepReport
from hybrid_drivers.hostconfig.roles import known_parameters
from hybrid_drivers.hostconfig.runner import Session
from hybrid_drivers.hostconfig.script import Script, compile_script

Part = Script | AnsiblePlaybook
OnStep = Callable[[StepReport], None]


@dataclass(frozen=True)
class Configuration:
    """What is run on a host, in order; consecutive playbooks of ours are one script."""

    parts: tuple[Part, ...]

    def run(self, session: Session, on_step: OnStep, *, check_only: bool = False, timeout: float) -> RunReport:
        """Run all parts within ``timeout`` seconds; their steps are numbered through.

        Raises:
            HostError: any of its kinds, as ``Session.run_script`` and ``AnsiblePlaybook.run`` say.
            ConfigError: Ansible refuses a playbook of its own.
        """
        began = time.monotonic()
        done: list[StepReport] = []
        for at, part in enumerate(self.parts):
            left = timeout - (time.monotonic() - began)
            if left <= 0:
                raise HostError(f"{session.host}: no end of the configuration within {timeout:.0f} s")
            numbered = _Numbered(len(done), sum(_steps(later) for later in self.parts[at + 1 :]))
            done += _run(part, session, numbered, on_step, check_only=check_only, timeout=left)
        return RunReport(steps=tuple(done), seconds=time.monotonic() - began)


@dataclass(frozen=True)
class _Numbered:
    """Numbers the steps of one part as part of the whole."""

    before: int
    after: int

    def __call__(self, step: StepReport) -> StepReport:
        return replace(step, number=self.before + step.number, total=self.before + step.total + self.after)


def _steps(part: Part) -> int:
    """Return how many steps a part has; Ansible's are only known when it runs."""
    return len(part.steps) if isinstance(part, Script) else 0


def _run(
    part: Part, session: Session, numbered: _Numbered, on_step: OnStep, *, check_only: bool, timeout: float
) -> list[StepReport]:
    def pass_on(step: StepReport) -> None:
        on_step(numbered(step))

    if isinstance(part, Script):
        report = session.run_script(part, pass_on, check_only=check_only, timeout=timeout)
    else:
        report = part.run(session, pass_on, check_only=check_only, timeout=timeout)
    return [numbered(step) for step in report.steps]


def compile_configuration(
    playbooks: Sequence[str], parameters: Mapping[str, object], facts: Facts, *, peers_only: bool = False
) -> Configuration:
    """Compile ``playbooks`` (in order) with OneProvision's variables.

    ``parameters`` are as the operator's YAML has them: our roles take them as text, Ansible as they are. With a
    playbook of Ansible's among them there may be variables that no role of ours has. ``peers_only`` compiles only
    what depends on the other hosts of the cluster; there may be nothing, and Ansible's never do.

    Raises:
        ConfigError: an unknown playbook or parameter, a value that does not fit, or a playbook of Ansible's that
            cannot be run; the text names it.
    """
    texts = {name: as_text(value) for name, value in parameters.items()}
    if any(is_path(name) for name in playbooks):
        ours = known_parameters()
        texts = {name: text for name, text in texts.items() if name in ours}
    facts = replace(facts, roles=roles_of(playbooks))  # each script knows what the others bring
    parts: list[Part] = []
    for of_ansible, names in itertools.groupby(playbooks, is_path):
        if not of_ansible:
            parts.append(compile_script(list(names), texts, facts, peers_only=peers_only))
        elif not peers_only:
            parts += [ansible.find(name, parameters) for name in names]
    return Configuration(tuple(part for part in parts if not isinstance(part, Script) or part.steps))


def as_text(value: object) -> str:
    """Write a value of the operator's YAML as roles take it: yes or no, ``a,b`` for a list of plain values."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and not any(isinstance(one, (list, dict)) for one in value):
        return ",".join(as_text(one) for one in value)
    if isinstance(value, (list, dict)):
        return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=1 << 20).strip()
    return "" if value is None else str(value)
