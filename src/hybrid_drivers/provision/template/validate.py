"""Everything that can be known of a template before anything is made, all at once.

OneProvision's own ``validate`` looks at a few required keys; a wrong plan, parameter or reference shows there when
machines are paid for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hybrid_drivers.providers.base import Provider, ProviderEntry
from hybrid_drivers.provision.template.checks.configuration import check_configuration
from hybrid_drivers.provision.template.checks.finding import Findings
from hybrid_drivers.provision.template.checks.hosts import check_hosts
from hybrid_drivers.provision.template.checks.machines import Accounts, check_machines
from hybrid_drivers.provision.template.checks.names import check_names
from hybrid_drivers.provision.template.checks.networks import check_networks
from hybrid_drivers.provision.template.checks.objects import check_objects
from hybrid_drivers.provision.template.checks.questions import check_inputs
from hybrid_drivers.provision.template.checks.references import check_references
from hybrid_drivers.provision.template.load import read_template
from hybrid_drivers.provision.template.model import InputSpec, Problem, ProvisionTemplate
from hybrid_drivers.provision.template.render import with_inputs


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What a front-end knows besides: its provider entries.

    ``entry`` finds one by name and raises ConfigError; ``provider`` makes its provider, without network, so that plans
    and places are checked too; ``provider_name`` is that of ``--provider``, which wins; ``files``: keys are looked for.
    """

    entry: Callable[[str], ProviderEntry]
    provider: Callable[[ProviderEntry], Provider] | None = None
    provider_name: str = ""
    files: bool = True


def validate(template: ProvisionTemplate, environment: Environment | None, inputs: Mapping[str, str]) -> list[Problem]:
    """Return what is wrong. ``inputs`` are those known; the others count with their defaults, or stay open."""
    asked = Findings(template)
    check_inputs(asked, inputs)
    filled = with_inputs(template, {**_defaults(template.inputs), **inputs}, strict=False)
    findings = Findings(filled)
    check_names(findings)
    check_references(findings)
    check_objects(findings)
    check_networks(findings)
    check_hosts(findings, files=environment is not None and environment.files)
    check_machines(findings, _accounts(environment))
    check_configuration(findings)
    return [*asked.problems, *findings.problems]


def check_file(
    path: Path, search: Sequence[Path], environment: Environment | None, inputs: Mapping[str, str]
) -> list[Problem]:
    """Return what is wrong with a file and those it extends, wrong keys and types included."""
    template, problems = read_template(path, search)
    return problems if template is None else [*problems, *validate(template, environment, inputs)]


def _defaults(inputs: Sequence[InputSpec]) -> dict[str, str]:
    values = {one.name: "" if one.default is None and not one.mandatory else one.default for one in inputs}
    return {name: value for name, value in values.items() if value is not None}


def _accounts(environment: Environment | None) -> Accounts:
    if environment is None:
        return Accounts()
    return Accounts(entry=environment.entry, provider=environment.provider, named=environment.provider_name)
