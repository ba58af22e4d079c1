"""The template's inputs themselves: can they be answered at all, and do their defaults fit?"""

from __future__ import annotations

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.provision.template.checks.finding import Findings
from hybrid_drivers.provision.template.inputs import checked, number
from hybrid_drivers.provision.template.model import InputSpec


def check_inputs(findings: Findings) -> None:
    """Check every input's definition."""
    for spec in findings.template.inputs:
        fault = _fault(spec)
        if fault:
            findings.say(spec.at(), fault)
        elif spec.default:
            try:
                checked(spec, spec.default)
            except ConfigError as exc:
                findings.say(spec.at("default"), str(exc).partition(f"'{spec.name}' ")[2])


def _fault(spec: InputSpec) -> str:
    if spec.type == "list" and not spec.options:
        return "an input of type list needs 'options'"
    if spec.type == "fixed" and spec.default is None:
        return "an input of type fixed needs 'default'"
    if not spec.type.startswith("range"):
        return ""
    low, high = number(spec.min_value), number(spec.max_value)
    if low is None or high is None:
        return f"an input of type {spec.type} needs the numbers min_value and max_value (or options: 1..10)"
    return "" if low <= high else f"min_value {spec.min_value} is more than max_value {spec.max_value}"
