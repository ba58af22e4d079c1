"""Putting templates over each other: parents and children, ``defaults`` and objects.

Source of the rules: OpenNebula ``src/oneprovision/lib/provision/provision_config.rb`` (``partial_load``, ``parse``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hybrid_drivers.provision.template.inline import without_credentials
from hybrid_drivers.provision.template.model import (
    LISTS,
    SECTIONS,
    Data,
    InputSpec,
    ObjectSpec,
    Place,
    Problem,
    ProvisionTemplate,
)
from hybrid_drivers.provision.template.reader import Draft

PHYSICAL = ("clusters", "datastores", "networks")  # take defaults.provision too, never credentials


def merged(parent: Draft, child: Draft) -> Draft:
    """Return ``child`` over ``parent``: lists of objects, inputs and playbooks are appended, ``defaults`` merged key by
    key, all else is the child's where it has it."""
    cluster = child if child.cluster else parent
    return Draft(
        texts={**parent.texts, **child.texts},
        extends=child.extends,
        playbooks=[*parent.playbooks, *child.playbooks],
        defaults={name: {**parent.defaults.get(name, {}), **child.defaults.get(name, {})} for name in SECTIONS},
        cluster=cluster.cluster,
        cluster_datastores=cluster.cluster_datastores,
        lists={kind: [*parent.lists.get(kind, []), *child.lists.get(kind, [])] for kind in LISTS},
        inputs=_inputs(parent.inputs, child.inputs),
        extra={**parent.extra, **child.extra},
        places={**parent.places, **child.places},
    )


def _inputs(parent: list[InputSpec], child: list[InputSpec]) -> list[InputSpec]:
    """Append the child's inputs; one of the same name takes the parent's place."""
    return list({one.name: one for one in [*parent, *child]}.values())


def template_of(draft: Draft, file: str, problems: list[Problem]) -> ProvisionTemplate:
    """Make the template of a merged draft; ``file`` is named when there is no better place."""
    name = draft.texts.get("name", "")
    at = draft.places.get("name", Place(file=file, line=1 if file else 0, key="name"))
    if not name:
        problems.append(replace(at, key="name").problem("is missing: a provision needs a name"))
    version = draft.texts.get("version", "")
    if version not in ("", "1", "2"):  # 5.12's code asks for 1, its documentation for 2
        problems.append(draft.places["version"].problem("this version is not known: leave it out, or write 1"))
    fields = {kind: tuple(draft.lists.get(kind, ())) for kind in LISTS}
    return ProvisionTemplate(
        name=name,
        description=draft.texts.get("description", ""),
        version=version,
        playbooks=tuple(dict.fromkeys(draft.playbooks)),
        provider=_provider(draft),
        provider_kind=draft.texts.get("provider", ""),
        defaults_connection=draft.defaults.get("connection", {}),
        defaults_provision=draft.defaults.get("provision", {}),
        defaults_configuration=draft.defaults.get("configuration", {}),
        cluster=_cluster(draft.cluster, name, at),
        cluster_datastores=draft.cluster_datastores,
        inputs=tuple(draft.inputs),
        extra=draft.extra,
        places=draft.places,
        **fields,
    )


def _cluster(spec: ObjectSpec | None, name: str, at: Place) -> ObjectSpec:
    if spec is None:
        return ObjectSpec(kind="clusters", body={"name": name}, file=at.file, line=at.line, key="cluster")
    return spec if spec.name else replace(spec, body={"name": name, **spec.body})


def _provider(draft: Draft) -> str:
    """Return the provider's name: of the defaults, else of the first host that has one, else the top-level key.

    6.0 called the key ``provider``, later ones ``provider_name`` (``provision.rb``, ``read_provider``).
    """
    sections = [draft.defaults.get("provision", {}), *(host.provision for host in draft.lists.get("hosts", []))]
    for section in sections:
        for key in ("provider", "provider_name"):
            if isinstance(value := section.get(key), str) and value:
                return value
    return draft.texts.get("provider", "")


def with_defaults(template: ProvisionTemplate, spec: ObjectSpec) -> ObjectSpec:
    """Return ``spec`` with ``defaults`` below its own sections; cluster, datastores and networks get no credentials."""
    if spec.kind == "hosts":
        return replace(
            spec,
            connection={**template.defaults_connection, **spec.connection},
            provision=_layered(template.defaults_provision, spec.provision),
            configuration={**template.defaults_configuration, **spec.configuration},
        )
    if spec.kind in PHYSICAL:
        shared = without_credentials(template.defaults_provision)
        return replace(spec, provision=_layered(shared, spec.provision))
    return spec


def _layered(below: Mapping[str, Data], above: Mapping[str, Data]) -> dict[str, Data]:
    """Put ``above`` over ``below``; keys differ by more than upper and lower case."""
    own = {key.upper() for key in above}
    return {**{key: value for key, value in below.items() if key.upper() not in own}, **above}
