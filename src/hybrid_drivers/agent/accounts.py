"""The provider accounts this front-end can use, from files, documents of oned and inline attributes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping

from hybrid_drivers.agent import logs
from hybrid_drivers.agent.machines import AccountMachines
from hybrid_drivers.clock import Clock
from hybrid_drivers.config import Location
from hybrid_drivers.errors import ConfigError
from hybrid_drivers.oned.api import Oned
from hybrid_drivers.providers import entries, registry
from hybrid_drivers.providers.base import Provider, ProviderEntry
from hybrid_drivers.provision import provider_documents
from hybrid_drivers.secret import Secret

AGE = 5.0  # seconds the entries read are used before they are read again
AGE_MISSING = 0.5  # the same for one that is not there: the operator may just have written it

log = logging.getLogger(__name__)


class Account:
    """One usable provider entry: its provider, and what its lists say."""

    def __init__(self, entry: ProviderEntry, provider: Provider, owner: str, clock: Clock) -> None:
        self.name = entry.name
        self.digest = entries.digest(entry)
        self.provider = provider
        self.machines = AccountMachines(provider, owner, clock)


class Accounts:
    """Finds accounts by name; an entry that changed makes a new account, the others keep theirs."""

    def __init__(self, location: Location, oned: Oned, owner: Callable[[], str], clock: Clock) -> None:
        self._location = location
        self._oned = oned
        self._owner = owner
        self._clock = clock
        self._lock = threading.Lock()
        self._made: dict[str, Account] = {}
        self._entries: dict[str, ProviderEntry] = {}
        self._errors: dict[str, ConfigError] = {}
        self._read_at = float("-inf")

    def for_attributes(self, attributes: Mapping[str, str], where: str) -> tuple[Account, dict[str, str]]:
        """Return the account that PROVISION ``attributes`` name, and the attributes without credentials.

        A machine that is recorded in them keeps the account it was rented from (RENTED_FROM).

        Raises:
            ConfigError: no PROVIDER, or none of that name, or its entry is wrong.
        """
        if name := attributes.get("RENTED_FROM"):
            account = self.named(name)
            inline = registry.driver(account.provider.entry.driver).inline
            beside = {"RENTED_FROM", "PROVIDER", "DRIVER", "PM_MAD", *inline}
            return account, {k: v for k, v in attributes.items() if k not in beside}
        if name := attributes.get("PROVIDER"):
            return self.named(name), {k: v for k, v in attributes.items() if k != "PROVIDER"}
        entry, rest = entries.entry_from_attributes(attributes, where)
        self._keep(entry)
        return self._account(entry), rest

    def named(self, name: str) -> Account:
        """Return the account of the entry called ``name``; files win over documents.

        Raises:
            ConfigError: there is no such entry, or it is wrong.
        """
        with self._lock:
            self._read_when_old(AGE if name in self._entries else AGE_MISSING)
            if name in self._errors:
                raise self._errors[name]
            entry = self._entries.get(name)
            if entry is None:
                known = ", ".join(sorted({*self._entries, *self._errors}))
                hint = f"known are {known}" if known else f"put one into {self._location.etc / 'providers.d'}"
                raise ConfigError(f"there is no provider {name!r}: {hint}")
        return self._account(entry)

    def all(self) -> list[Account]:
        """Return every account that can be used now; a wrong entry is logged and left out."""
        with self._lock:
            self._read_when_old()
            found, errors = list(self._entries.values()), dict(self._errors)
        accounts = []
        for entry in found:
            try:
                accounts.append(self._account(entry))
            except ConfigError as exc:
                errors[entry.name] = exc
        for name, error in errors.items():
            log.warning("provider %s is left out: %s", name, error)
        return accounts

    def broken(self) -> list[str]:
        """Return the entries that could not be read: there may be machines that nobody can be asked about."""
        with self._lock:
            return sorted(self._errors)

    def knows(self, name: str) -> bool:
        """Tell whether there is an entry called ``name``, a wrong one included."""
        with self._lock:
            self._read_when_old(AGE_MISSING)
            return name in self._entries or name in self._errors

    def reload(self) -> None:
        """Read the entries again when they are needed next."""
        with self._lock:
            self._read_at = float("-inf")

    def _account(self, entry: ProviderEntry) -> Account:
        owner = self._owner()
        with self._lock:
            made = self._made.get(entry.name)
            if made is None or made.digest != entries.digest(entry):
                provider = registry.make_provider(entry, self._clock, state_dir=self._location.state)
                made = self._made[entry.name] = Account(entry, provider, owner, self._clock)
                for value in entry.settings.values():
                    if isinstance(value, Secret):
                        logs.mask(value.reveal())
            return made

    def _read_when_old(self, age: float = AGE) -> None:
        now = self._clock.monotonic()
        if now - self._read_at <= age:
            return
        loaded = entries.load_entries(self._location.etc / "providers.d")
        found, errors = provider_documents.read_all(self._oned)
        self._entries = {**found, **loaded.entries}
        self._errors = {**{k: v for k, v in errors.items() if k not in loaded.entries}, **loaded.errors}
        self._read_at = now

    def _keep(self, entry: ProviderEntry) -> None:
        """Keep inline credentials as a document, encrypted by oned: the machine may outlive the host that has them."""
        with self._lock:
            self._read_when_old()
            if entry.name in self._entries:
                return
            log.warning("%s has credentials in its PROVISION; a provider entry is the better place", entry.source)
            provider_documents.write(self._oned, entry)
            self._entries[entry.name] = entry
