"""Writing a merged template: to keep it, and to show it (``--dump``) with credentials hidden."""

from __future__ import annotations

from collections.abc import Mapping

import yaml

from hybrid_drivers.provision.template.inline import credential_keys, is_secret
from hybrid_drivers.provision.template.model import LISTS, SECTIONS, Data, InputSpec, ObjectSpec, ProvisionTemplate

MASK = "***"
_BREAKS = frozenset("\x85\u2028\u2029\ufeff")  # PyYAML writes them bare, and reads them as line ends


class _Dumper(yaml.SafeDumper):
    """Writes values that are there twice twice, without anchors."""

    def ignore_aliases(self, data: object) -> bool:
        """Never write an alias."""
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if not _BREAKS.isdisjoint(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def dump(template: ProvisionTemplate, *, masked: bool) -> str:
    """Return the template as YAML. ``masked``: credentials are ``***``; else ``parse_template`` gives the same back."""
    tree = _tree(template)
    if masked:
        keys = credential_keys(template)
        tree = {key: _masked(value, key, keys) for key, value in tree.items()}
        _mask_inputs(template, tree)
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def _tree(template: ProvisionTemplate) -> dict[str, Data]:
    extra = dict(template.extra)
    ansible = extra.pop("ansible", None)
    sections: dict[str, Data] = {name: dict(template.defaults(name)) for name in SECTIONS if template.defaults(name)}
    cluster = _object(template.cluster)
    if template.cluster_datastores:
        cluster["datastores"] = [str(one) for one in template.cluster_datastores]
    tree: dict[str, Data] = {
        "name": template.name,
        "description": template.description,
        "version": template.version,
        "provider": template.provider_kind,
        "playbook": list(template.playbooks),
        "ansible": ansible,
        **extra,
        "defaults": sections,
        "inputs": [_input(one) for one in template.inputs],
        "cluster": cluster,
        **{kind: [_object(one) for one in template.objects(kind)] for kind in LISTS},
    }
    return {key: value for key, value in tree.items() if key in extra or value not in ("", [], {}, None)}


def _object(spec: ObjectSpec) -> dict[str, Data]:
    sections = {
        "provision": spec.provision,
        "connection": spec.connection,
        "configuration": spec.configuration,
        "meta": spec.meta,
    }
    return {**spec.body, **{key: dict(value) for key, value in sections.items() if value}}


def _input(spec: InputSpec) -> dict[str, Data]:
    tree: dict[str, Data] = {
        "name": spec.name,
        "type": spec.type,
        "description": spec.description or None,
        "default": spec.default,
        "options": list(spec.options),
        "min_value": spec.min_value,
        "max_value": spec.max_value,
    }
    optional: dict[str, Data] = {} if spec.mandatory else {"mandatory": False}
    return {**{key: value for key, value in tree.items() if value not in ([], None)}, **optional}


def _masked(data: Data, path: str, keys: frozenset[str]) -> Data:
    if path in keys and data not in (None, ""):
        return MASK
    if isinstance(data, Mapping):
        return {key: _masked(value, f"{path}.{key}", keys) for key, value in data.items()}
    if isinstance(data, list):
        return [_masked(one, f"{path}.{at}", keys) for at, one in enumerate(data)]
    return data


def _mask_inputs(template: ProvisionTemplate, tree: dict[str, Data]) -> None:
    """Hide the defaults of passwords, and of inputs whose names say that they are secrets."""
    items = tree.get("inputs")
    for spec, item in zip(template.inputs, items if isinstance(items, list) else [], strict=False):
        if isinstance(item, dict) and item.get("default") and (spec.type == "password" or is_secret(spec.name)):
            item["default"] = MASK
