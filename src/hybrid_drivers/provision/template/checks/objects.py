"""Datastores, images, marketplace apps, VM templates, service templates; owner and permissions of all; attributes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.provision.template.checks.finding import Findings, key_of
from hybrid_drivers.provision.template.checks.networks import DRIVER
from hybrid_drivers.provision.template.inputs import number
from hybrid_drivers.provision.template.model import KINDS, Data, ObjectSpec
from hybrid_drivers.provision.template.render import to_template

DATASTORES = ("IMAGE_DS", "SYSTEM_DS", "FILE_DS", "BACKUP_DS")
IMAGES = ("OS", "CDROM", "DATABLOCK", "KERNEL", "RAMDISK", "CONTEXT", "FILESYSTEM")
CONTENT = ("PATH", "SOURCE", "SIZE", "FROM_APP")  # one of them says what is in an image
_MODE = re.compile(r"0?[0-7]{3}")
_ATTRIBUTE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def check_objects(findings: Findings) -> None:
    """Check all objects but hosts and networks, and what all have in common."""
    ways: Mapping[str, Callable[[Findings, ObjectSpec], None]] = {
        "datastores": _datastore,
        "images": _image,
        "marketplaceapps": _app,
        "templates": _template,
        "flowtemplates": _service,
    }
    for kind in KINDS:
        for spec in findings.template.objects(kind):
            _meta(findings, spec)
            if kind != "flowtemplates":  # a service template is JSON
                _attributes(findings, spec)
            if kind in ways:
                ways[kind](findings, spec)


def _attributes(findings: Findings, spec: ObjectSpec) -> None:
    seen: dict[str, str] = {}
    for key, value in spec.body.items():
        if not _ATTRIBUTE.fullmatch(key):
            findings.say(spec.at(key), "an attribute's name has only letters, digits and '_', no digit first")
        elif (first := seen.setdefault(key.upper(), key)) != key:
            findings.say(spec.at(key), f"is the same attribute as '{first}'")
        try:
            to_template({key: value})
        except ConfigError as exc:
            findings.say(spec.at(key), str(exc).partition(": ")[2])


def _datastore(findings: Findings, spec: ObjectSpec) -> None:
    driver = _text(findings, spec, "TM_MAD")
    if driver and not DRIVER.fullmatch(driver):
        _say(findings, spec, "TM_MAD", f"'{driver[:40]}' cannot be the name of a driver")
    kind = _text(findings, spec, "TYPE")
    if kind and kind.upper() not in DATASTORES:
        _say(findings, spec, "TYPE", f"must be one of {', '.join(DATASTORES)}, not '{kind[:40]}'")
    if kind is not None and kind.upper() != "SYSTEM_DS" and not _raw(spec, "DS_MAD"):
        _say(findings, spec, "DS_MAD", "is missing: only a system datastore needs none")


def _image(findings: Findings, spec: ObjectSpec) -> None:
    kind = _text(findings, spec, "TYPE")
    if kind and kind.upper() not in IMAGES:
        _say(findings, spec, "TYPE", f"must be one of {', '.join(IMAGES)}, not '{kind[:40]}'")
    if not any(_raw(spec, name) for name in CONTENT):
        findings.say(spec.at(), "an image needs one of path, source, size or from_app")
    size = _text(findings, spec, "SIZE")
    if size and not (size.isascii() and size.isdigit() and int(size[:12])):
        _say(findings, spec, "SIZE", f"must be a whole number of MiB, not '{size[:40]}'")
    _datastore_of(findings, spec)


def _datastore_of(findings: Findings, spec: ObjectSpec) -> None:
    """An image's datastore: an id, the name of one of the template, or the template's own one for images."""
    named = _text(findings, spec, "DS_ID" if _raw(spec, "DS_ID") else "DATASTORE")
    stores = findings.template.datastores
    if named is None or named.isdecimal():
        return
    if named:
        names = [findings.name(one) for one in stores]
        if named not in names and None not in names:
            key = "DS_ID" if _raw(spec, "DS_ID") else "DATASTORE"
            _say(findings, spec, key, f"must be an id, or the name of a datastore of this template, not '{named[:40]}'")
    elif not any(str(_raw(one, "TYPE") or "IMAGE_DS").upper() == "IMAGE_DS" for one in stores):
        _say(findings, spec, "DS_ID", "is missing, and the template has no datastore for images")


def _app(findings: Findings, spec: ObjectSpec) -> None:
    if not _raw(spec, "APPID") and not _raw(spec, "APPNAME"):
        findings.say(spec.at(), "a marketplace app needs 'appid' or 'appname'")
    _id(findings, spec, "APPID")
    if not _raw(spec, "DSID"):
        _say(findings, spec, "DSID", "is missing: the id of a datastore for the image")
    _id(findings, spec, "DSID")


def _template(findings: Findings, spec: ObjectSpec) -> None:
    for name in ("CPU", "VCPU", "MEMORY"):
        text = _text(findings, spec, name)
        if text and (number(text) or 0) <= 0:
            _say(findings, spec, name, f"must be a positive number, not '{text[:40]}'")


def _service(findings: Findings, spec: ObjectSpec) -> None:
    roles = spec.body.get("roles")
    if not spec.name:
        _say(findings, spec, "NAME", "is missing")
    if not isinstance(roles, list) or not roles or not all(isinstance(one, dict) for one in roles):
        _say(findings, spec, "ROLES", "must be a list of roles, each a mapping")
        return
    for at, role in enumerate(roles):
        if isinstance(role, dict) and not isinstance(role.get("name"), str):
            findings.say(spec.at(f"roles.{at}.name"), "is missing")


def _meta(findings: Findings, spec: ObjectSpec) -> None:
    for key, value in spec.meta.items():
        text = "" if value is None else findings.text(spec, value)
        expected = _meta_fault(key, value, text)
        if expected and (text is not None or isinstance(value, bool)):
            shown = "" if text is None else f", not '{text[:40]}'"
            findings.say(spec.at(f"meta.{key}"), f"must be {expected}{shown}")


def _meta_fault(key: str, value: Data, text: str | None) -> str:
    """Say what a value of ``meta`` must be when it is not."""
    text = text or ""
    if key in ("uid", "gid"):
        return "" if text.isascii() and text.isdigit() and len(text) < 10 else "a number"
    if key == "mode":
        return "" if _MODE.fullmatch(text) else "an octal number like 640"
    if key == "wait":
        return "" if isinstance(value, bool) or text.lower() in ("true", "false", "yes", "no") else "true or false"
    if key in ("wait_timeout", "timeout"):
        return "" if (number(text) or 0) > 0 else "a positive number of seconds"
    return "" if text else "a name"


def _id(findings: Findings, spec: ObjectSpec, name: str) -> None:
    text = _text(findings, spec, name)
    if text and not (text.isascii() and text.isdigit()):
        _say(findings, spec, name, f"must be an id, not '{text[:40]}'")


def _raw(spec: ObjectSpec, name: str) -> Data:
    key = key_of(spec.body, name)
    return spec.body[key] if key else None


def _text(findings: Findings, spec: ObjectSpec, name: str) -> str | None:
    """Return an attribute, empty when it is not there, None when it is not known yet."""
    value = _raw(spec, name)
    if isinstance(value, (list, dict)):
        _say(findings, spec, name, "must be a single value")
    return "" if value is None else findings.text(spec, value)


def _say(findings: Findings, spec: ObjectSpec, name: str, text: str) -> None:
    findings.say(spec.at(key_of(spec.body, name) or name.lower()), text)
