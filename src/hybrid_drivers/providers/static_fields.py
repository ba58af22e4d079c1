"""The keys the static driver understands, and the list of machines in its entry."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hybrid_drivers.providers.attributes import unknown_key
from hybrid_drivers.providers.base import Field, Setting
from hybrid_drivers.providers.driver import Driver

_MACHINES = "a list of addresses, or {address, name, host_key}"
_KEYS = ("address", "name", "plan", "host_key")
_HOST_KEY = re.compile(r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp\d+) [A-Za-z0-9+/]{40,}={0,3}( .*)?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,62}")


@dataclass(frozen=True, kw_only=True)
class OwnMachine:
    """One machine of the operator: ``host_key`` like ``ssh-ed25519 AAAA...``, ``plan`` a word of theirs, or empty."""

    address: str
    name: str
    plan: str = ""
    host_key: str = ""


def own_machines(settings: Mapping[str, Setting]) -> tuple[list[OwnMachine], list[str]]:
    """Return the machines of an entry, and sentences about what is wrong with the list."""
    rows = settings.get("machines")
    machines: list[OwnMachine] = []
    problems: list[str] = []
    for number, row in enumerate(rows if isinstance(rows, Sequence) and not isinstance(rows, str) else (), start=1):
        machine, wrong = _machine(row, bool(settings.get("trust_first_use")))
        problems += [f"machine {number}: {sentence}" for sentence in wrong]
        if machine:
            machines.append(machine)
    for what in ("address", "name"):
        values = [getattr(one, what) for one in machines]
        twice = sorted({value for value in values if values.count(value) > 1})
        problems += [f"{what} {value} is listed twice" for value in twice]
    return machines, problems


def _machine(row: object, trusting: bool) -> tuple[OwnMachine | None, list[str]]:
    table = {"address": row} if isinstance(row, str) else row
    if not isinstance(table, Mapping):
        return None, ["must be an address, or a mapping with the key 'address'"]
    problems = [unknown_key(str(key), "a machine", _KEYS) for key in table if key not in _KEYS]
    problems += [f"key '{key}' must be a single value" for key in _KEYS if not isinstance(table.get(key, ""), str)]
    if problems:
        return None, problems
    try:
        address = str(ipaddress.ip_address(str(table.get("address", "")).strip()))
    except ValueError:
        return None, [f"'{str(table.get('address', ''))[:60]}' is not an IP address"]
    name, host_key = str(table.get("name") or address), " ".join(str(table.get("host_key") or "").split())
    if not _NAME.fullmatch(name):
        problems.append(f"'{name[:60]}' cannot be a name: use letters, digits, '.', '-', '_'")
    if host_key and not _HOST_KEY.fullmatch(host_key):
        problems.append(f"host_key of {name} is not a line like 'ssh-ed25519 AAAA...'")
    if not host_key and not trusting:
        problems.append(f"{name} has no host_key: add it, or set trust_first_use: true for all")
    return OwnMachine(address=address, name=name, plan=str(table.get("plan") or ""), host_key=host_key), problems


def _check(settings: Mapping[str, Setting]) -> Sequence[str]:
    listed, any_address = settings.get("machines"), settings.get("any_address")
    if any_address and listed:
        return ["give machines, or any_address: true, and not both"]
    if any_address and not settings.get("trust_first_use"):
        return ["any_address: true knows no host keys: it needs trust_first_use: true"]
    if not any_address and listed is None:
        return [f"key 'machines' is missing for driver static ({_MACHINES})"]
    return own_machines(settings)[1]


DRIVER = Driver(
    name="static",
    target="hybrid_drivers.providers.static:StaticProvider",
    settings=(
        Field(name="machines", kind="list", help=_MACHINES),
        Field(
            name="any_address", kind="boolean", help="instead of machines: a host's HOSTNAME is its machine's address"
        ),
        Field(name="state", help="file that remembers which are taken; on an HA front-end put it on shared storage"),
    ),
    attributes=(Field(name="PLAN", help="take only machines with this plan"), Field(name="OS"), Field(name="METRO")),
    check=_check,
)
