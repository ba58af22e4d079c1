"""The values of expressions: what they look at, found among what is known by then.

Source of how an attribute is found: OpenNebula ``provision_config.rb`` (``eval_rules``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hybrid_drivers.provision.template.grammar import INPUTS, UPDATED, Part, Reference, parse, short, wrong
from hybrid_drivers.provision.template.model import Number, Place

_NOWHERE = Place(file="template", line=0)


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What expressions see.

    ``objects``: kind -> those made so far; each has ID, NAME and its template's attributes under upper-case keys
    (vectors are mappings). ``arrays`` are the inputs that are lists, ``a;b``; ``updates`` what is known of the hosts
    once they run, without which such an expression is left as it is.
    """

    name: str
    provision_id: int | None = None
    index: int | None = None
    inputs: Mapping[str, str] = field(default_factory=dict, repr=False)
    provider: str = ""
    objects: Mapping[str, Sequence[Mapping[str, object]]] = field(default_factory=dict, repr=False)
    arrays: frozenset[str] = frozenset()
    updates: Mapping[str, str] = field(default_factory=dict)


def evaluate(text: str, scope: Scope, where: Place) -> str:
    """Return ``text`` with its expressions replaced.

    Raises:
        TemplateError: an expression is not of the grammar, or what it looks at is not there (yet).
    """
    parts = parse(text, where)
    done = "".join(part.text if part.plain else _value(part, scope, where) for part in parts)
    whole = len(parts) == 1 and not parts[0].plain
    return Number(done) if whole and done.isascii() and done.isdigit() else done


def references(text: str) -> list[Reference]:
    """Return what the expressions in ``text`` look at, in their order.

    Raises:
        TemplateError: one is not of the grammar.
    """
    return [part.reference for part in parse(text, _NOWHERE) if part.reference]


def _value(part: Part, scope: Scope, where: Place) -> str:
    if part.reference is None:
        return _single(part, scope, where)
    if part.reference.kind == INPUTS:
        name = str(part.reference.which)
        if name not in scope.inputs:
            raise wrong(where, None, f"{short(part.text)}: there is no value for input '{name}'")
        return scope.inputs[name]
    if part.reference.kind == UPDATED:
        return scope.updates.get(str(part.reference.which), part.text)
    return _attribute(part.text, part.reference, scope, where)


def _single(part: Part, scope: Scope, where: Place) -> str:
    values = {
        "provision": scope.name,
        "provision_id": None if scope.provision_id is None else str(scope.provision_id),
        "index": None if scope.index is None else str(scope.index),
        "provider": scope.provider,
    }
    value = values[part.single]
    if value is None:
        raise wrong(where, None, f"{short(part.text)} is not known here")
    return value


def _attribute(text: str, reference: Reference, scope: Scope, where: Place) -> str:
    kind, which, path = reference
    made = scope.objects.get(kind, ())
    found: object = None
    if isinstance(which, int):
        found = made[which] if -len(made) <= which < len(made) else None
    else:
        found = next((one for one in made if one.get("NAME") == which), None)
    if found is None:
        there = ", ".join(str(one.get("NAME")) for one in made) or "none"
        raise wrong(where, None, f"{short(text)}: there is no such object of {kind} yet (there are: {there[:200]})")
    value = walk(found, path)
    if not isinstance(value, (str, int, float)):
        names = ", ".join(sorted(found))[:300] if isinstance(found, Mapping) else ""
        raise wrong(where, None, f"{short(text)}: no attribute {'/'.join(path)} (there are: {names})")
    return str(value)


def walk(found: object, path: Sequence[str]) -> object:
    """Return what is at ``path`` in an object; TEMPLATE may be left out, PROVISION is looked into at last."""
    steps = path[1:] if path[0] == "TEMPLATE" and len(path) > 1 else path
    value = _down(found, steps)
    if value is None and len(steps) == 1:
        return _down(found, ("PROVISION", *steps))
    return value


def _down(found: object, steps: Sequence[str]) -> object:
    for step in steps:
        if isinstance(found, Mapping):
            found = found.get(step)
        elif isinstance(found, Sequence) and not isinstance(found, str) and step.isdigit() and int(step) < len(found):
            found = found[int(step)]
        else:
            return None
    return found
