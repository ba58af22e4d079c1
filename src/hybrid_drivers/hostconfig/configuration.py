"""A host's whole configuration: its playbooks compiled, to be run over one connection."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hybrid_drivers.hostconfig.facts import Facts
from hybrid_drivers.hostconfig.report import RunReport, StepReport
from hybrid_drivers.hostconfig.runner import Session
from hybrid_drivers.hostconfig.script import Script, compile_script


@dataclass(frozen=True)
class Configuration:
    """What is run on a host, in order; consecutive playbooks of ours are one script."""

    parts: tuple[Script, ...]

    def run(
        self, session: Session, on_step: Callable[[StepReport], None], *, check_only: bool = False, timeout: float
    ) -> RunReport:
        """Run all parts; errors and ``on_step`` are those of ``Session.run_script``."""
        reports = [session.run_script(part, on_step, check_only=check_only, timeout=timeout) for part in self.parts]
        steps = tuple(step for report in reports for step in report.steps)
        return RunReport(steps=steps, seconds=sum(report.seconds for report in reports))


def compile_configuration(
    playbooks: Sequence[str], parameters: Mapping[str, str], facts: Facts, *, peers_only: bool = False
) -> Configuration:
    """Compile ``playbooks`` (in order) with OneProvision's variables.

    ``peers_only`` compiles only what depends on the other hosts of the cluster; there may be nothing.

    Raises:
        ConfigError: an unknown playbook or parameter, or a value that does not fit; the text names it.
    """
    script = compile_script(playbooks, parameters, facts, peers_only=peers_only)
    return Configuration((script,) if script.steps else ())
