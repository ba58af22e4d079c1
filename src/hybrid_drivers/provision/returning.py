"""Giving hosts back: the host object is deleted, the agent returns its machine, and we look until it is gone.

What to look for is written down before anything is deleted, so another run goes on looking. The look is our own, at
the provider, by the tag that every machine carries: "gone" is said only of what two answers in a row no longer had.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

from hybrid_drivers.agent.owner import ATTRIBUTE as OWNER
from hybrid_drivers.errors import (
    ConfigError,
    HybridError,
    NoSuchObject,
    OnedUnreachable,
    OutcomeUnknown,
    TransientError,
)
from hybrid_drivers.model import Host
from hybrid_drivers.providers.base import Provider
from hybrid_drivers.provision import tags
from hybrid_drivers.provision.record import Leaving, Record, Slot
from hybrid_drivers.provision.site import Site

CONFIRMATIONS = 2


class Returns:
    """Gives hosts of one provision back; ``say`` hears what happens."""

    def __init__(self, site: Site, record: Record, say: Callable[[str], None]) -> None:
        self._site, self._record, self._say = site, record, say

    def delete(self, slots: Sequence[Slot]) -> None:
        """Delete the hosts of these slots; what is to be confirmed about them is in ``record.leaving`` before.

        Raises:
            ConfigError: a host belongs to another provision, or carries virtual machines; nothing was deleted.
            ActionRefused: virtual machines came to one meanwhile; those before it are deleted.
        """
        hosts = [(host, slot) for slot in slots if (host := self._host(slot)) is not None]
        if busy := ", ".join(f"{slot.name} (id {host.id})" for host, slot in hosts if host.running_vms):
            raise ConfigError(
                f"virtual machines are on {busy}: 'oneprovision vm-move' moves them; no host was given back"
            )
        for host, slot in hosts:
            self._forget(host.id)
            self._record.leaving.append(leaving(host, slot))
        self._site.store.save(self._record)
        for host, slot in hosts:
            try:
                self._site.oned.delete_host(host.id)
            except NoSuchObject:
                continue
            except OnedUnreachable:
                raise  # it may be deleted
            except HybridError:
                self._forget(host.id)
                self._site.store.save(self._record)
                raise
            machine = next(one.machine for one in self._record.leaving if one.host_id == host.id)
            self._say(f"host {slot.name} (id {host.id}) deleted; machine: {machine or 'none yet'}")

    def confirm(self) -> list[Leaving]:
        """Wait until the providers no longer have the machines; return those of which that could not be seen.

        What is confirmed is forgotten, the rest stays in ``record.leaving``; the caller saves the record. A host
        that is in oned is not on its way: whoever was to delete it was killed before.
        """
        there = {host.id for host in self._site.oned.hosts()} if self._record.leaving else set()
        wanted = sorted((one for one in self._record.leaving if one.host_id not in there), key=lambda one: one.provider)
        left: list[Leaving] = []
        for name, group in groupby(wanted, key=lambda one: one.provider):
            left += self._at_provider(name, list(group)) if name else []
        self._record.leaving = left
        return left

    def _host(self, slot: Slot) -> Host | None:
        if slot.id is None:
            return None
        try:
            host = self._site.oned.host(slot.id)
        except NoSuchObject:
            return None
        owner = tags.provision_id(host.template)
        if owner is not None and owner != self._record.id:
            raise ConfigError(f"host {host.id} carries the tag of provision {owner}, so it is not deleted by this one")
        return host

    def _forget(self, host_id: int) -> None:
        self._record.leaving = [one for one in self._record.leaving if one.host_id != host_id]

    def _at_provider(self, name: str, hosts: list[Leaving]) -> list[Leaving]:
        try:
            provider = self._site.directory.provider(name)
        except ConfigError as exc:
            self._say(f"whether the machines of provider {name} are gone cannot be seen from here: {exc}")
            return hosts
        clock, limits = self._site.clock, provider.limits
        began = clock.monotonic()
        settled = began + (limits.settle if any(one.uncertain for one in hosts) else 0.0)
        missing, remaining = 0, hosts
        while clock.monotonic() - began < limits.delete:
            try:
                remaining = self._remaining(provider, hosts)
                missing = missing + 1 if not remaining else 0
            except (TransientError, OutcomeUnknown) as exc:
                self._say(str(exc))
                missing = 0
            except HybridError as exc:
                self._say(f"whether the machines of provider {name} are gone cannot be seen: {exc}")
                return hosts
            if missing >= CONFIRMATIONS and clock.monotonic() >= settled:
                return []
            clock.sleep(limits.poll)
        return remaining

    def _remaining(self, provider: Provider, hosts: Sequence[Leaving]) -> list[Leaving]:
        owner = self._site.oned.zone().text(OWNER)
        there = provider.list(owner) if owner else ()
        ids = {machine.tags.host_id for machine in there if machine.tags is not None}
        machines = {machine.id for machine in there}
        return [one for one in hosts if one.host_id in ids or one.machine in machines]


def leaving(host: Host, slot: Slot) -> Leaving:
    """Return what is to be looked for once ``host`` is deleted."""
    provision = host.template.vector("PROVISION")
    machine = provision.get("DEPLOY_ID", "")
    return Leaving(
        host_id=host.id,
        name=slot.name or host.name,
        provider=provision.get("RENTED_FROM") or provision.get("PROVIDER", ""),
        machine=machine,
        uncertain=bool(host.template.vector("PROVISION_INTENT")) and not machine,
    )
