"""What expressions look at: inputs that exist, and objects that are made before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hybrid_drivers.providers.attributes import did_you_mean
from hybrid_drivers.provision.template.checks.finding import Findings, key_of, strings
from hybrid_drivers.provision.template.expand import expand_hosts
from hybrid_drivers.provision.template.grammar import INPUTS, UPDATED, Part, Reference, parse, short
from hybrid_drivers.provision.template.model import KINDS, SECTIONS, ObjectSpec, Place, TemplateError

BROUGHT = ("images", "templates")  # marketplace apps bring them too
BY_ADDRESS = ("hosts",)  # named by what their machines get


def check_references(findings: Findings) -> None:
    """Check every expression of every object, and of ``defaults``."""
    for section in SECTIONS:
        for key, text in strings(findings.template.defaults(section), f"defaults.{section}"):
            _expressions(findings, text, findings.template.at(key))
    for kind in KINDS:
        for at, spec in enumerate(findings.template.objects(kind)):
            for key, text in _texts(findings, spec):
                place = findings.at(spec, key)
                for part, reference in _expressions(findings, text, place):
                    if reference.kind not in (INPUTS, UPDATED):
                        _object(findings, place, part, reference, (KINDS.index(kind), at))


def _texts(findings: Findings, spec: ObjectSpec) -> Iterator[tuple[str, str]]:
    whole = findings.whole(spec)
    yield from strings(whole.body)
    for section in (*SECTIONS, "meta"):
        yield from strings(getattr(whole, section), section)


def _expressions(findings: Findings, text: str, place: Place) -> list[tuple[str, Reference]]:
    """Return the references in a value; what is no expression, or names no input, is told."""
    try:
        parts: list[Part] = parse(text, place)
    except TemplateError as exc:
        findings.add(exc)
        return []
    known = [one.name for one in findings.template.inputs]
    found = [(part.text, part.reference) for part in parts if part.reference]
    for shown, reference in found:
        if reference.kind == INPUTS and reference.which not in known:
            hint = did_you_mean(str(reference.which), known)
            findings.say(place, f"{short(shown)}: there is no input '{reference.which}'{hint}")
    return found


def _object(findings: Findings, place: Place, shown: str, reference: Reference, here: tuple[int, int]) -> None:
    kind, which, path = reference
    own_kind, own_number = here
    there = KINDS.index(kind)
    if there > own_kind:
        findings.say(place, f"{short(shown)}: {kind} are made later than {KINDS[own_kind]}")
        return
    before = findings.template.objects(kind)[: own_number if there == own_kind else None]
    target = _target(findings, kind, which, before, own_kind)
    if isinstance(target, str):
        findings.say(place, f"{short(shown)}: {target}")
    elif target is not None and (fault := _path_fault(target, path)):
        findings.say(place, f"{short(shown)}: {fault}")


def _target(
    findings: Findings, kind: str, which: int | str, before: Sequence[ObjectSpec], own_kind: int
) -> ObjectSpec | str | None:
    """Return the object that is meant, a sentence when there is none, None when that cannot be told yet."""
    template = findings.template
    more = kind in BROUGHT and bool(template.marketplaceapps) and own_kind > KINDS.index("marketplaceapps")
    if kind in BY_ADDRESS and not isinstance(which, int):
        return None
    if isinstance(which, int):
        number = _number_of_hosts(findings) if kind == "hosts" else len(before)
        inside = number is None or -number <= which < number
        if kind == "hosts" and inside:
            return None
        if inside:
            return before[which]
        return None if more else _too_few(kind, number or 0, len(template.objects(kind)))
    names = [findings.name(spec) for spec in before]
    if which in names:
        return before[names.index(which)]
    if more or None in names:
        return None
    all_names = [findings.name(spec) for spec in template.objects(kind)]
    if which in all_names:
        return f"the one called '{which}' is made later"
    return f"none of {kind} is called '{which}'{did_you_mean(which, [name for name in names if name])}"


def _too_few(kind: str, before: int, number: int) -> str:
    if number > before:
        return f"of {kind} only {before} are made before this"
    return f"the template has {number or 'none'} of {kind}" + (", counted from 0" if number else "")


def _number_of_hosts(findings: Findings) -> int | None:
    try:
        return len(expand_hosts(findings.template))
    except TemplateError:
        return None


def _path_fault(target: ObjectSpec, path: tuple[str, ...]) -> str:
    """Say why an attribute cannot be there; what oned adds by itself is not known here, so little is certain."""
    steps = path[1:] if path[0] == "TEMPLATE" and len(path) > 1 else path
    key = key_of(target.body, steps[0])
    value = "" if steps[0] in ("ID", "NAME") else target.body.get(key) if key else None
    if value is None:
        return ""
    if isinstance(value, str) and len(steps) > 1:
        return f"{steps[0]} is a single value, there is nothing below it"
    if isinstance(value, dict) and len(steps) == 1:
        return f"{steps[0]} is a mapping: name one of its keys"
    if isinstance(value, dict) and key_of(value, steps[1]) is None:
        return f"{steps[0]} has no key {steps[1]}"
    return ""
