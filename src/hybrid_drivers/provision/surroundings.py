"""What a front-end has to do with a template before anything is made: its providers, and the names that are taken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import yaml

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.providers.base import ProviderEntry
from hybrid_drivers.providers.registry import make_provider
from hybrid_drivers.provision import plan, tags
from hybrid_drivers.provision.kinds import ONED
from hybrid_drivers.provision.record import Record
from hybrid_drivers.provision.site import Site
from hybrid_drivers.provision.template.expressions import Scope, evaluate
from hybrid_drivers.provision.template.inputspecs import read_input
from hybrid_drivers.provision.template.model import InputSpec, ObjectSpec, Problem, ProvisionTemplate, TemplateError
from hybrid_drivers.provision.template.validate import Environment
from hybrid_drivers.yamlfile import Items, Table, parse_yaml

UNIQUE = ("clusters", "datastores", "networks", "images", "templates", "vntemplates")  # names oned takes once (a user)


def environment_of(site: Site, provider_name: str) -> Environment:
    """Return what the checks of a template may ask a front-end; ``provider_name`` is that of ``--provider``."""
    return Environment(
        entry=site.directory.entry,
        provider=lambda entry: make_provider(entry, site.clock, state_dir=site.state),
        provider_name=provider_name,
    )


def with_provider_inputs(site: Site, template: ProvisionTemplate, chosen: str) -> ProvisionTemplate:
    """Return the template with the inputs that its providers ask for, as those of OneProvision 6.x do; its own win.

    Source: OpenNebula ``src/oneprovision/lib/provision/provision.rb`` (``deploy``: provider.inputs).

    Raises:
        TemplateError: what is wrong with the inputs of a provider.
    """
    found = {one.name: one for one in template.inputs}
    for name in provider_names(template.hosts, template, chosen):
        try:
            entry = site.directory.entry(name)
        except ConfigError:  # a wrong or missing entry is told by the checks
            continue
        for one in _inputs_of(entry):
            found.setdefault(one.name, one)
    return replace(template, inputs=tuple(found.values()))


def _inputs_of(entry: ProviderEntry) -> list[InputSpec]:
    rows = entry.settings.get("inputs")
    if not isinstance(rows, Sequence) or isinstance(rows, str):
        return []
    name = f"provider {entry.name}"
    tree = parse_yaml(yaml.safe_dump(list(rows)), name)
    problems: list[Problem] = []
    tables = [one for one in tree.items if isinstance(one, Table)] if isinstance(tree, Items) else []
    found = [read_input(one, name, f"inputs.{at}", problems) for at, one in enumerate(tables)]
    if problems:
        raise TemplateError(replace(one, line=0) for one in problems)  # the lines are not those of its file
    return [one for one in found if one is not None]


def taken_names(site: Site, template: ProvisionTemplate, name: str, record: Record | None) -> list[Problem]:
    """Say which names are taken in oned: one call for each kind of object that the template has.

    ``record`` is the provision that is to be gone on with: what it made has its names rightly.
    """
    problems: list[Problem] = []
    for kind in UNIQUE:
        named = ((spec, _name(spec, name, at)) for at, spec in enumerate(template.objects(kind)))
        specs = [(spec, wanted) for spec, wanted in named if wanted]
        if not specs:
            continue
        ours = {slot.id for slot in record.of_kind(kind)} if record else set()
        there = {one.name: one for one in site.objects.pool(ONED[kind])}
        for spec, wanted in specs:
            one = there.get(wanted)
            if one is None or one.id in ours or (record and tags.provision_id(one.template) == record.id):
                continue
            text = f"{plan.WORDS[kind]} {one.id} is already called '{wanted}': choose another name"
            problems.append(spec.at("name").problem(text))
    return problems


def provider_names(specs: Iterable[ObjectSpec], template: ProvisionTemplate, chosen: str) -> list[str]:
    """Return the names of the provider entries that hosts would be rented from, each once."""
    if chosen:
        return [chosen]
    return list(dict.fromkeys(name for name in _named(specs, template) if name))


def _named(specs: Iterable[ObjectSpec], template: ProvisionTemplate) -> Iterator[str]:
    for spec in specs:
        section = {**template.defaults_provision, **spec.provision}
        yield str(section.get("provider") or section.get("provider_name") or template.provider or "")


def _name(spec: ObjectSpec, name: str, at: int) -> str:
    """Return the name an object will have, empty when that is not known before it is made."""
    wanted = spec.name or (name if spec.kind == "clusters" else "")
    try:
        found = evaluate(wanted, Scope(name=name, index=at), spec.at("name"))
    except TemplateError:  # it looks at an object, or is wrong, which the other checks tell
        return ""
    return "" if "${" in found else found  # what hosts tell once they run


def check_name(name: str) -> str:
    """Return the name of a provision. Raises: ConfigError: oned would not take it."""
    if not name.strip() or len(name.encode()) > 128 or any(char in name for char in "&|:\\\";/'#{}$<>\n"):
        raise ConfigError(f"'{name[:60]}' cannot be the name of a provision: choose 1 to 128 plain characters")
    return name
