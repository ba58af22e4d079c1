"""What hosts rent: the provider, and the attributes its driver understands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.providers import attributes as attr
from hybrid_drivers.providers import registry
from hybrid_drivers.providers.attributes import GENERIC_PREFIXES, unknown_key
from hybrid_drivers.providers.base import Provider, ProviderEntry
from hybrid_drivers.providers.entries import CREDENTIAL_ATTRIBUTES, entry_from_attributes
from hybrid_drivers.provision import dialects
from hybrid_drivers.provision.template.checks.finding import Findings
from hybrid_drivers.provision.template.inline import split_credentials
from hybrid_drivers.provision.template.model import Data, ObjectSpec
from hybrid_drivers.provision.template.values import text_of

NAMES = ("PROVIDER", "PROVIDER_NAME")


@dataclass(frozen=True, kw_only=True)
class Accounts:
    """Where provider entries are found; ``named`` is the one asked for on the command line."""

    entry: Callable[[str], ProviderEntry] | None = None
    provider: Callable[[ProviderEntry], Provider] | None = None
    named: str = ""


def check_machines(findings: Findings, accounts: Accounts) -> None:
    """Check the ``provision`` of all hosts."""
    for spec in findings.template.hosts:
        _Machine(findings, findings.whole(spec), accounts).check()


class _Machine:
    def __init__(self, findings: Findings, spec: ObjectSpec, accounts: Accounts) -> None:
        self._findings, self._spec, self._accounts = findings, spec, accounts
        self._account, self._rest = split_credentials(spec.provision)

    def check(self) -> None:
        driver, entry = self._provider()
        if not driver:
            return
        known = dialects.known_attributes(driver)
        for key in self._rest:
            if key.upper() not in known and not key.upper().startswith(GENERIC_PREFIXES):
                self._say(key, unknown_key(key, f"driver {driver}", sorted(one.lower() for one in known)))
        self._attributes(driver, entry, known)

    def _provider(self) -> tuple[str, ProviderEntry | None]:
        """Return the driver and, where it can be had, the entry."""
        if self._account and not self._accounts.named:
            return self._inline()
        key, name = self._named()
        if name is None:  # not known yet
            return "", None
        if not name:
            return self._without_name()
        try:
            if self._accounts.entry is not None:
                entry = self._accounts.entry(name)
                return entry.driver, entry
        except ConfigError as exc:
            self._say(key, str(exc))
        return self._driver_of(name, key)

    def _named(self) -> tuple[str, str | None]:
        """Return the provider's name, and the key it stands at; None: an expression."""
        if self._accounts.named:
            return "provider", self._accounts.named
        for key, value in self._spec.provision.items():
            if key.upper() in NAMES and value:
                return key, self._findings.text(self._spec, value)
        return "provider", self._findings.template.provider

    def _inline(self) -> tuple[str, ProviderEntry | None]:
        known = {key: self._findings.text(self._spec, value) for key, value in self._account.items()}
        try:
            if None in known.values():
                return self._driver_of(self._account.get("DRIVER") or self._account.get("PM_MAD") or "", "driver")
            entry, _ = entry_from_attributes(self._account, "provision")
        except ConfigError as exc:
            own = next(key for key in self._spec.provision if key.upper() in CREDENTIAL_ATTRIBUTES)
            self._say(own, str(exc).replace("provision: ", ""))
            return "", None
        return entry.driver, entry

    def _without_name(self) -> tuple[str, ProviderEntry | None]:
        """A driver may stand alone when another layer (the agent's defaults) has the account."""
        for key, value in self._spec.provision.items():
            if key.upper() in ("DRIVER", "PM_MAD") and isinstance(value, str):
                return self._driver_of(value, key)
        if self._accounts.entry is not None:
            self._say("provider", "no provider is named: add 'provider' to provision, or use --provider")
        return "", None

    def _driver_of(self, name: str, key: str) -> tuple[str, ProviderEntry | None]:
        """Return the driver a word stands for; a provider may have any name, which then says nothing of its driver."""
        try:
            return (dialects.driver_of(name), None) if name else ("", None)
        except ConfigError as exc:
            named = key.upper() in NAMES
            if name in dialects.OTHERS or not named:
                self._say(key, str(exc))
            return dialects.DRIVERS.get(self._findings.template.provider_kind if named else "", ""), None

    def _attributes(self, driver: str, entry: ProviderEntry | None, known: frozenset[str]) -> None:
        texts = {key: self._text(value) for key, value in self._rest.items() if key.upper() in known}
        given = dialects.machine_attributes(driver, {key: text or "x" for key, text in texts.items()})
        merged = {**(entry.defaults if entry else {}), **given}
        certain = all(text is not None for text in texts.values())
        row = registry.driver(driver)
        try:
            if entry is not None and certain and self._accounts.provider is not None:
                self._accounts.provider(entry).placements(merged)
            else:
                attr.canonical(merged, row, entry.source if entry else f"driver {driver}")
        except ConfigError as exc:
            if entry is not None or "lacks" not in str(exc):  # an entry may have defaults for what is missing
                self._say("", str(exc))

    def _text(self, value: Data) -> str | None:
        """Return an attribute as it will be, None when that is not known yet."""
        if isinstance(value, list):
            parts = [self._text(one) for one in value]
            return None if None in parts else ",".join(one for one in parts if one)
        if isinstance(value, dict):
            return "{}"  # becomes JSON
        return text_of(value) if not isinstance(value, str) else self._findings.text(self._spec, value)

    def _say(self, key: str, text: str) -> None:
        self._findings.say(self._findings.at(self._spec, f"provision.{key}" if key else "provision"), text)
