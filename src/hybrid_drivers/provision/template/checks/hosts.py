"""Hosts: their drivers in oned, names and numbers, and how they are reached."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from hybrid_drivers.provision.template.checks.finding import Findings
from hybrid_drivers.provision.template.expand import MOST, expand_hosts
from hybrid_drivers.provision.template.model import ObjectSpec, TemplateError

HYPERVISORS = ("kvm", "qemu", "lxc", "dummy")
MONITORS = (*HYPERVISORS, "provision")  # as what an information driver may be named; all become our own
_HOSTNAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,252}")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.@-]{0,63}")


def check_hosts(findings: Findings, *, files: bool) -> None:
    """Check all hosts; ``files``: private keys are files of this machine."""
    number = 0
    for spec in findings.template.hosts:
        _drivers(findings, spec)
        number += _number(findings, spec)
        _connection(findings, findings.whole(spec), files=files)
    if number > MOST:
        findings.say(findings.template.at("hosts"), f"{number} hosts in all are more than {MOST}")


def _drivers(findings: Findings, spec: ObjectSpec) -> None:
    for key, known in (("im_mad", MONITORS), ("vm_mad", HYPERVISORS)):
        text = findings.text(spec, spec.body.get(key))
        if text is not None and text not in known:
            findings.say(spec.at(key), f"must be one of {', '.join(known)}, not '{text[:40]}'")


def _number(findings: Findings, spec: ObjectSpec) -> int:
    """Check names and count, and return how many hosts these are."""
    whole = findings.whole(spec)
    names, count = whole.provision.get("hostname"), whole.provision.get("count")
    for one in names if isinstance(names, list) else [names]:
        text = findings.text(spec, one)
        if text and not _HOSTNAME.fullmatch(text):
            findings.say(findings.at(spec, "provision.hostname"), f"'{text[:60]}' cannot be the name of a host")
    if isinstance(names, list) and len(set(map(str, names))) < len(names):
        findings.say(findings.at(spec, "provision.hostname"), "has the same name twice")
    if isinstance(names, list) and isinstance(count, str) and count.isdecimal() and int(count[:9]) != len(names):
        findings.say(findings.at(spec, "provision.count"), f"is {count[:9]}, but there are {len(names)} host names")
    try:
        return len(expand_hosts(replace(findings.template, hosts=(spec,))))
    except TemplateError as exc:
        if not isinstance(count, str) or findings.text(spec, count) is not None:
            for problem in exc.problems:
                findings.say(findings.at(spec, "provision.count"), problem.text)
        return 0


def _connection(findings: Findings, spec: ObjectSpec, *, files: bool) -> None:
    port = findings.text(spec, spec.connection.get("remote_port"))
    if port and not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536):
        findings.say(findings.at(spec, "connection.remote_port"), f"must be a port from 1 to 65535, not '{port[:40]}'")
    user = findings.text(spec, spec.connection.get("remote_user"))
    if user and not _USER.fullmatch(user):
        findings.say(findings.at(spec, "connection.remote_user"), f"'{user[:40]}' cannot be the name of a user")
    key = findings.text(spec, spec.connection.get("private_key"))
    if files and key and "PRIVATE KEY-----" not in key and not _is_file(key):
        findings.say(findings.at(spec, "connection.private_key"), "must be a private key, or the file of one")


def _is_file(path: str) -> bool:
    try:
        return Path(path).expanduser().is_file()
    except (OSError, ValueError, RuntimeError):
        return False
