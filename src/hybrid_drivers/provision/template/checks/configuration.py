"""How hosts are configured: playbooks, and the parameters of their roles. All is compiled, as it will be later."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.hostconfig.playbooks import is_path, roles_of
from hybrid_drivers.hostconfig.roles import known_parameters
from hybrid_drivers.provision import dialects
from hybrid_drivers.provision.template.checks.finding import Findings, strings
from hybrid_drivers.provision.template.inline import is_secret
from hybrid_drivers.provision.template.model import Data, ObjectSpec
from hybrid_drivers.provision.template.render import to_plain
from hybrid_drivers.provision.template.values import unknown_key
from hybrid_drivers.secret import Secret

DEFAULT = "default"
_PARAMETER = re.compile(r"configuration(?:: | has no parameter '?)(\w+)")


def check_configuration(findings: Findings) -> None:
    """Check the playbooks, and the configuration of every host that differs from the others'."""
    seen = set()
    for spec in findings.template.hosts or ():
        whole = findings.whole(spec)
        playbooks = _playbooks(findings, whole)
        text = json.dumps([playbooks, whole.configuration, whole.connection.get("remote_user")], sort_keys=True)
        if text not in seen and _known(findings, whole, playbooks):
            _check(findings, whole, playbooks)
        seen.add(text)
    if not findings.template.hosts:
        _known(findings, findings.template.cluster, findings.template.playbooks)


def _playbooks(findings: Findings, spec: ObjectSpec) -> tuple[str, ...]:
    own = findings.text(spec, spec.provision.get("playbook"))
    return tuple(one.strip() for one in own.split(",")) if own else (findings.template.playbooks or (DEFAULT,))


def _known(findings: Findings, spec: ObjectSpec, playbooks: Sequence[str]) -> bool:
    own = "provision.playbook" in spec.lines
    place = spec.at("provision.playbook") if own else findings.template.at("playbook")
    if any(findings.text(spec, one) is None for one in playbooks):
        return False
    try:
        roles_of(playbooks)
    except ConfigError as exc:
        findings.say(place, str(exc))
        return False
    return True


def _check(findings: Findings, spec: ObjectSpec, playbooks: Sequence[str]) -> None:
    sure = {key: value for key, value in spec.configuration.items() if _is_sure(findings, spec, value)}
    books, parameters = dialects.host_configuration(playbooks, sure)
    if not any(is_path(one) for one in books):
        known = known_parameters()
        for key in [key for key in parameters if key not in known]:
            findings.say(findings.at(spec, f"configuration.{key}"), unknown_key(key, sorted(known)))
            del parameters[key]
    try:
        _compile(findings, spec, books, parameters)
    except ConfigError as exc:
        _tell(findings, spec, str(exc))


def _is_sure(findings: Findings, spec: ObjectSpec, value: Data) -> bool:
    return all(findings.text(spec, text) is not None for _, text in strings(value))


def _compile(findings: Findings, spec: ObjectSpec, playbooks: Sequence[str], parameters: Mapping[str, Data]) -> None:
    from hybrid_drivers.hostconfig.configuration import compile_configuration
    from hybrid_drivers.hostconfig.facts import Facts

    user = findings.text(spec, spec.connection.get("remote_user")) or "root"
    facts = Facts(oneadmin_private_key=Secret("the real one when it runs"), login_user=user, opennebula_version="0")
    compile_configuration(playbooks, {key: to_plain(value) for key, value in parameters.items()}, facts)


def _tell(findings: Findings, spec: ObjectSpec, sentence: str) -> None:
    found = _PARAMETER.match(sentence)
    key = found.group(1) if found else ""
    if not key:
        findings.say(findings.template.at("playbook"), sentence)
    elif is_secret(key):
        findings.say(findings.at(spec, f"configuration.{key}"), "has a value that does not fit")
    else:
        text = sentence.removeprefix(f"configuration: {key} ")
        findings.say(findings.at(spec, f"configuration.{key}"), text)
