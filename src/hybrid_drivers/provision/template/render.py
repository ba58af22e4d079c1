"""Templates on their way to oned: inputs and expressions replaced, and YAML turned into attributes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.model import Template, Value
from hybrid_drivers.provision.template.expressions import Scope, evaluate
from hybrid_drivers.provision.template.grammar import INPUTS, array_input, parse
from hybrid_drivers.provision.template.model import (
    LISTS,
    Data,
    Number,
    ObjectSpec,
    Place,
    Problem,
    ProvisionTemplate,
    TemplateError,
)
from hybrid_drivers.provision.template.values import text_of

PARTS = ("body", "provision", "connection", "configuration", "meta")
_At = Callable[[str], Place]
_Text = Callable[[str, Place], Data]


def resolve(spec: ObjectSpec, scope: Scope) -> ObjectSpec:
    """Return ``spec`` with all expressions in its values replaced; its own index counts where the scope has none.

    Raises:
        TemplateError: all expressions that are wrong or look at something that is not there.
    """
    if scope.index is None and spec.index is not None:
        scope = replace(scope, index=spec.index)

    def text(value: str, where: Place) -> Data:
        if array_input(value) in scope.arrays:
            return _array(evaluate(value, scope, where))
        return evaluate(value, scope, where)

    problems: list[Problem] = []
    done = _changed(spec, text, problems)
    if problems:
        raise TemplateError(problems)
    return done


def with_inputs(template: ProvisionTemplate, values: Mapping[str, str], *, strict: bool = True) -> ProvisionTemplate:
    """Return the template with ``${input.NAME}`` replaced everywhere, other expressions left.

    Counts and lists of host names must be known before anything is planned. An array input that stands alone becomes a
    list. ``strict=False`` leaves what cannot be replaced, for ``validate``.

    Raises:
        TemplateError: an input has no value, or an expression is not of the grammar.
    """
    arrays = {one.name for one in template.inputs if one.type == "array"}

    def text(value: str, where: Place) -> Data:
        if (name := array_input(value)) in arrays and name in values:
            return _array(values[name])
        parts = parse(value, where)
        if not any(part.reference and part.reference.kind == INPUTS for part in parts):
            return value
        scope = Scope(name="", inputs=values)
        done = [
            evaluate(part.text, scope, where) if part.reference and part.reference.kind == INPUTS else part.text
            for part in parts
        ]
        return done[0] if len(done) == 1 else "".join(done)

    return _everywhere(template, text, strict)


def _array(value: str) -> list[Data]:
    return [one.strip() for one in value.split(";") if one.strip()]


def _everywhere(template: ProvisionTemplate, text: _Text, strict: bool) -> ProvisionTemplate:
    problems: list[Problem] = []

    def spec(one: ObjectSpec) -> ObjectSpec:
        return _changed(one, text, problems)

    def section(name: str, values: Mapping[str, Data]) -> dict[str, Data]:
        changed = _mapping(values, text, lambda key: template.at(f"{name}{key}"), "", problems)
        return dict(changed)

    def single(key: str, value: str) -> str:
        return str(_text(text, value, template.at(key), problems))

    lists: dict[str, Any] = {kind: tuple(spec(one) for one in template.objects(kind)) for kind in LISTS}
    done = replace(
        template,
        name=single("name", template.name),
        description=single("description", template.description),
        playbooks=tuple(single("playbook", one) for one in template.playbooks),
        defaults_connection=section("defaults.connection.", template.defaults_connection),
        defaults_provision=section("defaults.provision.", template.defaults_provision),
        defaults_configuration=section("defaults.configuration.", template.defaults_configuration),
        cluster=spec(template.cluster),
        extra=section("", template.extra),
        **lists,
    )
    if problems and strict:
        raise TemplateError(problems)
    return done


def _changed(spec: ObjectSpec, text: _Text, problems: list[Problem]) -> ObjectSpec:
    done: dict[str, Any] = {}  # the fields of PARTS
    for part in PARTS:
        prefix = "" if part == "body" else f"{part}."
        done[part] = _mapping(getattr(spec, part), text, spec.at, prefix, problems)
    return replace(spec, **done)


def _mapping(data: Mapping[str, Data], text: _Text, at: _At, prefix: str, problems: list[Problem]) -> dict[str, Data]:
    return {key: _data(value, text, at, f"{prefix}{key}", problems) for key, value in data.items()}


def _data(data: Data, text: _Text, at: _At, key: str, problems: list[Problem]) -> Data:
    if isinstance(data, dict):
        return _mapping(data, text, at, f"{key}.", problems)
    if isinstance(data, list):
        found: list[Data] = []
        for number, one in enumerate(data):
            new = _data(one, text, at, f"{key}.{number}", problems)
            found += new if isinstance(new, list) and not isinstance(one, list) else [new]
        return found
    if not isinstance(data, str) or isinstance(data, Number):
        return data
    return _text(text, data, at(key), problems)


def _text(text: _Text, value: str, where: Place, problems: list[Problem]) -> Data:
    try:
        return text(value, where)
    except TemplateError as exc:
        problems += exc.problems
        return value


def to_template(body: Mapping[str, Data]) -> Template:
    """Return attributes as oned has them.

    Keys are in upper case; a mapping is a vector, a list of mappings repeats it, a list of single values is a comma
    list; booleans are YES and NO; null is left out.

    Raises:
        ConfigError: deeper nesting, or a list of both; the text names the attribute.
    """
    return Template([pair for key, value in body.items() for pair in _pairs(key, value)])


def _pairs(key: str, value: Data) -> Iterator[tuple[str, Value]]:
    if isinstance(value, list) and any(isinstance(one, dict) for one in value):
        for one in value:
            if not isinstance(one, dict):
                raise ConfigError(f"{key}: a list must be of mappings only, or of single values only")
            yield key, _vector(key, one)
    elif isinstance(value, dict):
        yield key, _vector(key, value)
    elif value is not None:
        yield key, _single(key, value)


def _vector(key: str, value: Mapping[str, Data]) -> dict[str, str]:
    return {name: _single(f"{key}/{name}", one) for name, one in value.items() if one is not None}


def _single(key: str, value: Data) -> str:
    if isinstance(value, dict):
        raise ConfigError(f"{key}: oned has no mapping inside a mapping")
    if isinstance(value, list):
        if any(isinstance(one, (list, dict)) for one in value):
            raise ConfigError(f"{key}: oned has no list inside a list or of mappings inside a mapping")
        return ",".join(text_of(one) for one in value if one is not None)
    return str(text_of(value))


def to_plain(data: Data | Mapping[str, Data]) -> object:
    """Return values as JSON and Ansible take them: numbers are numbers."""
    if isinstance(data, Mapping):
        return {key: to_plain(value) for key, value in data.items()}
    if isinstance(data, list):
        return [to_plain(one) for one in data]
    return data.plain if isinstance(data, Number) else data
