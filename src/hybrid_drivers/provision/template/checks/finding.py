"""Where the checks put what they find, and how they look at values that may still have expressions in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.provision.template.expressions import Scope, evaluate
from hybrid_drivers.provision.template.grammar import parse
from hybrid_drivers.provision.template.merge import with_defaults
from hybrid_drivers.provision.template.model import (
    SECTIONS,
    Data,
    ObjectSpec,
    Place,
    Problem,
    ProvisionTemplate,
    TemplateError,
)


class Findings:
    """The problems of one template, each once, in the order they were found."""

    def __init__(self, template: ProvisionTemplate) -> None:
        self.template = template
        self._found: dict[Problem, None] = {}

    @property
    def problems(self) -> list[Problem]:
        """Return what was found."""
        return list(self._found)

    def say(self, place: Place, text: str) -> None:
        """Add a problem."""
        self._found[place.problem(text)] = None

    def add(self, error: TemplateError) -> None:
        """Add the problems of an error."""
        self._found.update(dict.fromkeys(error.problems))

    def at(self, spec: ObjectSpec, key: str) -> Place:
        """Return where a key of an object stands, which may be in ``defaults``."""
        default = self.template.at(f"defaults.{key}")
        of_defaults = key not in spec.lines and f"defaults.{key}" in self.template.places
        return default if of_defaults and key.partition(".")[0] in SECTIONS else spec.at(key)

    def whole(self, spec: ObjectSpec) -> ObjectSpec:
        """Return the object with ``defaults`` below it."""
        return with_defaults(self.template, spec)

    def text(self, spec: ObjectSpec, value: Data) -> str | None:
        """Return a single value as it will be, None when that is not known yet or it is no single value."""
        if not isinstance(value, str):
            return None
        scope = Scope(name=self.template.name, provision_id=0, index=spec.index or 0)
        try:
            if any(part.reference for part in parse(value, spec.at())):
                return None
            return str(evaluate(value, scope, spec.at()))
        except ConfigError:  # told by the check of references
            return None

    def name(self, spec: ObjectSpec) -> str | None:
        """Return an object's name as it will be; None: not known yet."""
        return self.text(spec, spec.name)


def key_of(body: Mapping[str, Data], name: str) -> str | None:
    """Return the key under which an attribute is there, in upper or lower case."""
    return next((key for key in body if key.upper() == name.upper()), None)


def strings(data: Data | Mapping[str, Data], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield all texts in ``data`` with their keys, with dots between levels."""
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield from strings(value, f"{prefix}.{key}" if prefix else key)
    elif isinstance(data, list):
        for at, value in enumerate(data):
            yield from strings(value, f"{prefix}.{at}")
    elif isinstance(data, str):
        yield prefix, data
