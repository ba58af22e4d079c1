"""Names of objects: what oned takes, and each only once among its kind."""

from __future__ import annotations

from hybrid_drivers.provision.template.checks.finding import Findings
from hybrid_drivers.provision.template.model import KINDS, ObjectSpec

FORBIDDEN = "&|:\\\";/'#{}$<>"  # OpenNebula ``PoolObjectSQL.cc``
LONGEST = 128  # bytes
NAMESAKES = {"marketplaceapps": "images"}  # an app becomes an image of its name


def check_names(findings: Findings) -> None:
    """Check the provision's name and those of all objects."""
    template = findings.template
    if fault := name_fault(template.name):
        findings.say(template.at("name"), fault)
    seen: dict[tuple[str, str], ObjectSpec] = {}
    for kind in KINDS:
        for spec in template.objects(kind):
            name = findings.name(spec)
            if not spec.name:
                continue
            if name is not None and (fault := name_fault(name)):
                findings.say(spec.at("name"), fault)
            elif name is not None and kind != "hosts":  # hosts get the names of their machines
                first = seen.setdefault((NAMESAKES.get(kind, kind), name), spec)
                if first is not spec:
                    findings.say(spec.at("name"), f"'{name}' is there twice (first in line {first.line})")


def name_fault(name: str) -> str:
    """Say what is wrong with a name; empty when nothing is."""
    if not name:
        return "is empty"
    if bad := next((char for char in name if char in FORBIDDEN or not char.isprintable()), ""):
        return f"a name may not have the character {bad!r} in it"
    if len(name.encode()) > LONGEST:
        return f"a name has at most {LONGEST} bytes, this has {len(name.encode())}"
    return ""
