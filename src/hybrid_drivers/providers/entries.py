"""Provider entries: read from ``providers.d/*.yaml``, documents of type 702, or inline 5.12 attributes; all checked."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.providers import registry
from hybrid_drivers.providers.base import ProviderEntry, Setting
from hybrid_drivers.providers.checks import EntryReader
from hybrid_drivers.providers.driver import Driver
from hybrid_drivers.secret import Secret
from hybrid_drivers.yamlfile import Scalar, Table, parse_json, parse_yaml, read_private

SUFFIX = ".yaml"
# Attributes that can only be credentials or addresses of an account, never a wish about a machine.
CREDENTIAL_ATTRIBUTES = frozenset(
    key for one in registry.built_in() for key in one.inline if key not in {field.name for field in one.attributes}
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """The entries of a folder by name, and why others could not be read: one bad file does not stop the rest."""

    entries: Mapping[str, ProviderEntry] = field(default_factory=dict)
    errors: Mapping[str, ConfigError] = field(default_factory=dict)

    def entry(self, name: str) -> ProviderEntry:
        """Return the entry called ``name``.

        Raises:
            ConfigError: there is none, or its file is wrong.
        """
        if name in self.errors:
            raise self.errors[name]
        if name not in self.entries:
            known = ", ".join(sorted(self.entries)) or "none"
            raise ConfigError(f"no provider entry is called '{name}'; known: {known}")
        return self.entries[name]


def names_in(folder: Path) -> list[str]:
    """Return the names of the entries in ``folder``, right or wrong ones."""
    return sorted(path.stem for path in folder.glob(f"*{SUFFIX}") if not path.name.startswith("."))


def load_named(folder: Path, name: str, *, uid: int | None = None) -> ProviderEntry | None:
    """Return the entry of the file ``<name>.yaml``, or None when there is no such file.

    Raises:
        ConfigError: the file is wrong, or ``name`` cannot be a name.
    """
    path = folder / f"{checked_name(name, 'PROVIDER')}{SUFFIX}"
    return load_entry(path, uid=uid) if os.path.lexists(path) else None


def load_entries(folder: Path, *, uid: int | None = None) -> Loaded:
    """Read every ``*.yaml`` of ``folder``; a folder that is not there holds none."""
    entries, errors = {}, {}
    for path in sorted(folder.glob("*")):
        if path.name.startswith(".") or path.suffix not in {SUFFIX, ".yml"}:
            continue
        try:
            entries[path.stem] = load_entry(path, uid=uid)
        except ConfigError as exc:
            errors[path.stem] = exc
    return Loaded(entries=entries, errors=errors)


def load_entry(path: Path, *, uid: int | None = None) -> ProviderEntry:
    """Read one file; its stem is the entry's name.

    Raises:
        ConfigError: all that is wrong with it, each with file and line, joined with ``; ``.
    """
    if path.suffix != SUFFIX:
        raise ConfigError(f"{path}: is not read: rename it to {path.stem}{SUFFIX}")
    tree = parse_yaml(read_private(path, uid), str(path))
    if not isinstance(tree, Table):
        raise ConfigError(f"{path}: must be a mapping with at least the key 'driver'")
    return EntryReader(checked_name(path.stem, str(path)), str(path), f"file {path}").read(tree)


def entry_from_document(name: str, body_json: str, source: str) -> ProviderEntry:
    """Read the PROVISION_BODY of a document of type 702: a JSON object of the same keys; ``source`` names it.

    Raises:
        ConfigError: all that is wrong with it.
    """
    tree = parse_json(body_json, source)
    if not isinstance(tree, Table):
        raise ConfigError(f"{source}: must be a JSON object with at least the key 'driver'")
    return EntryReader(checked_name(name, source), source, source).read(tree)


def entry_from_attributes(attributes: Mapping[str, str], source: str) -> tuple[ProviderEntry, dict[str, str]]:
    """Split 5.12 attributes into an entry, from its credentials, and the attributes that are left.

    The driver is named by ``DRIVER`` or ``PM_MAD``, or follows from the credentials. The entry is called
    ``inline-<hash>``: the same credentials give the same name, so that one account has one provider object.

    Raises:
        ConfigError: no driver is named, or credentials are missing.
    """
    driver = _driver_of(attributes, source)
    settings = {setting: attributes[key] for key, setting in driver.inline.items() if attributes.get(key, "").strip()}
    tree = Table(
        values={
            "driver": Scalar(text=driver.name, kind="text"),
            **{setting: Scalar(text=value.strip(), kind="text") for setting, value in settings.items()},
        },
        lines={},
    )
    names = {setting: key for key, setting in driver.inline.items()}
    entry = EntryReader("inline", source, source, names).read(tree)
    name = f"inline-{digest(entry)[:10]}"
    left = {key: value for key, value in attributes.items() if key not in {"DRIVER", "PM_MAD", *driver.inline}}
    return _renamed(entry, name), left


def body_of(entry: ProviderEntry) -> dict[str, object]:
    """Return what :func:`entry_from_document` reads back as the same entry; secrets are in the clear."""
    body: dict[str, object] = {"driver": entry.driver, **_revealed(entry.settings)}
    sections = {"defaults": dict(entry.defaults), "limits": dict(entry.limits)}
    return {**body, **{key: value for key, value in sections.items() if value}}


def digest(entry: ProviderEntry, key: bytes = b"") -> str:
    """Return 64 hex digits that change whenever driver, settings, defaults or limits do, secrets included.

    They may be stored: a digest does not give a random token back. ``key`` (for example the owner id) makes digests
    of different clouds different.
    """
    content = {
        "driver": entry.driver,
        "settings": _revealed(entry.settings),
        "defaults": dict(entry.defaults),
        "limits": dict(entry.limits),
    }
    text = json.dumps(content, sort_keys=True, default=_plain)
    return hmac.new(b"hybrid_drivers.providers.entry:" + key, text.encode(), hashlib.sha256).hexdigest()


def checked_name(name: str, source: str) -> str:
    """Return the name of an entry.

    Raises:
        ConfigError: it is not letters, digits, dot, dash, underscore, at most 64.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{source}: '{name[:80]}' cannot be the name of a provider: use letters, digits, '.', '-', '_'"
        )
    return name


def _driver_of(attributes: Mapping[str, str], source: str) -> Driver:
    named = attributes.get("DRIVER") or attributes.get("PM_MAD") or ""
    if named:
        return registry.driver(named.strip())
    fitting = [one for one in registry.built_in() if any(attributes.get(key) for key in one.inline)]
    if len(fitting) == 1:
        return fitting[0]
    known = ", ".join(one.name for one in registry.built_in())
    raise ConfigError(f"{source}: PROVISION names no PROVIDER and no DRIVER; known drivers: {known}")


def _renamed(entry: ProviderEntry, name: str) -> ProviderEntry:
    return ProviderEntry(name=name, driver=entry.driver, settings=entry.settings, source=entry.source)


def _revealed(settings: Mapping[str, Setting]) -> dict[str, object]:
    return {key: value.reveal() if isinstance(value, Secret) else value for key, value in settings.items()}


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else str(value)
