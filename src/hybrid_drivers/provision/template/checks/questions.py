"""The template's inputs themselves: can they be answered at all, and do defaults and given values fit?"""

from __future__ import annotations

from collections.abc import Mapping

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.providers.attributes import did_you_mean
from hybrid_drivers.provision.template.checks.finding import Findings
from hybrid_drivers.provision.template.inputs import checked, number
from hybrid_drivers.provision.template.model import InputSpec


def check_inputs(findings: Findings, given: Mapping[str, str]) -> None:
    """Check every input's definition, and the values given."""
    known = [one.name for one in findings.template.inputs]
    for name in given:
        if name not in known:
            findings.say(findings.template.at("inputs"), f"there is no input '{name[:60]}'{did_you_mean(name, known)}")
    for spec in findings.template.inputs:
        fault = _fault(spec)
        if fault:
            findings.say(spec.at(), fault)
            continue
        if spec.default:
            _value(findings, spec, spec.default, "default")
        if spec.name in given:
            _value(findings, spec, given[spec.name], "")


def _value(findings: Findings, spec: InputSpec, value: str, key: str) -> None:
    try:
        checked(spec, value)
    except ConfigError as exc:
        findings.say(spec.at(key), str(exc).partition(f"'{spec.name}' ")[2])


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
