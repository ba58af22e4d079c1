"""OneProvision's variables, flat and as text, to the typed parameters of a role.

A role's parameters are a frozen dataclass whose field names are the variables' own names. Kinds of fields: text,
``bool``, ``int``, ``Address`` (IPv4 or empty), and tuples of text or of ``Service``.
"""

from __future__ import annotations

import dataclasses
import difflib
import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NewType, TypeVar, get_type_hints

import yaml

from hybrid_drivers.errors import ConfigError

P = TypeVar("P")
Address = NewType("Address", str)
Interface = NewType("Interface", str)
InterfaceOrLabel = NewType("InterfaceOrLabel", str)

_TRUE, _FALSE = {"yes", "true", "on", "1"}, {"no", "false", "off", "0"}  # as YAML 1.1 and Ansible take them
_NONE = {"", "null", "none", "~"}
_INTERFACE = re.compile(r"[A-Za-z0-9._@][A-Za-z0-9._@-]{0,14}\Z")


@dataclass(frozen=True)
class Service:
    """A service let in by the firewall."""

    protocol: str
    port: int


def check_names(given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse variables that no role has.

    Raises:
        ConfigError: names the variable and the nearest known one.
    """
    names = sorted(known)
    for name in given:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise ConfigError(f"configuration has no parameter '{name}'{hint}")


def parse(kind: type[P], given: Mapping[str, str]) -> P:
    """Make a role's parameters from the variables given; those of other roles are passed over.

    Raises:
        ConfigError: a value does not fit; the text names the variable.
    """
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    for one in dataclasses.fields(kind):  # type: ignore[arg-type]  # P is a dataclass: the registry holds no other
        if one.name in given:
            values[one.name] = _value(one.name, hints[one.name], given[one.name])
    return kind(**values)


def _value(name: str, kind: object, text: str) -> object:
    read, expected = _KINDS[kind]
    try:
        return read(text.strip())
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, yaml.YAMLError) as exc:
        raise ConfigError(f"configuration: {name} is '{text}', expected {expected}") from exc


def _bool(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError(text)


def _maybe_bool(text: str) -> bool | None:
    return None if text.lower() in _NONE | {"auto"} else _bool(text)


def _address(text: str) -> Address:
    return Address("" if text.lower() in _NONE else str(ipaddress.IPv4Address(text)))


def _interface(text: str) -> Interface:
    """Names of interfaces as Linux takes them: at most 15 characters, no white space, no slash (``dev_valid_name``).

    Of those, ASCII ones that no program takes for an option.
    """
    if text.lower() in _NONE:
        return Interface("")
    if not _INTERFACE.match(text) or text in (".", ".."):
        raise ValueError(text)
    return Interface(text)


def _interface_or_label(text: str) -> InterfaceOrLabel:
    """Take a name such as ``bond0:0`` too, by which ifupdown and OneProvision's templates call a second address."""
    name, colon, number = text.partition(":")
    if colon and not (_interface(name) and number.isascii() and number.isalnum() and len(text) <= 15):
        raise ValueError(text)
    return InterfaceOrLabel(f"{_interface(name)}{colon}{number}")


def _texts(text: str) -> tuple[str, ...]:
    loaded = yaml.safe_load(text) if text.startswith("[") else text.replace(",", " ").split()
    if not isinstance(loaded, list) or not all(isinstance(item, str) for item in loaded):
        raise TypeError(text)
    return tuple(loaded)


def _services(text: str) -> tuple[Service, ...]:
    """Read ``[{protocol: tcp, port: 22}]`` as OneProvision writes it, or ``tcp/22, udp/4789``."""
    if text.startswith("["):
        return tuple(_service(str(item.get("protocol", "tcp")), item["port"]) for item in yaml.safe_load(text))
    return tuple(_service(*item.split("/", 1)) for item in text.replace(",", " ").split())


def _service(protocol: str, port: object) -> Service:
    number = int(str(port))
    if protocol not in ("tcp", "udp") or not 0 < number < 65536:
        raise ValueError(f"{protocol}/{port}")
    return Service(protocol, number)


_KINDS: Mapping[object, tuple[Callable[[str], object], str]] = {
    str: (str, "text"),
    bool: (_bool, "yes or no"),
    int: (int, "a number"),
    bool | None: (_maybe_bool, "yes, no or auto"),
    Address: (_address, "an IPv4 address"),
    Interface: (_interface, "the name of a network interface"),
    InterfaceOrLabel: (_interface_or_label, "the name of a network interface, or a label such as bond0:0"),
    tuple[str, ...]: (_texts, "a list"),
    tuple[Service, ...]: (_services, "a list like tcp/22,udp/4789"),
}
