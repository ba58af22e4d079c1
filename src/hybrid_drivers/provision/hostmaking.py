"""Making one host in oned: an ordinary ``-i provision`` host, which the information driver rents a machine for.

A host begins in the default cluster, gets its PROVISION, and only then moves to the provision's cluster: a tool that
is killed in between leaves a host that rents nothing, never one that rents what the cluster says.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from hybrid_drivers.errors import AllocateRefused, ConfigError
from hybrid_drivers.model import Host
from hybrid_drivers.provision import tags
from hybrid_drivers.provision.hostspec import HostSpec, host_spec, host_template
from hybrid_drivers.provision.record import Record, Slot, Stage, begun
from hybrid_drivers.provision.site import Site
from hybrid_drivers.provision.template.model import ObjectSpec, ProvisionTemplate

IM_MAD: Final = "provision"
DEFAULT_CLUSTER: Final = 0


class HostMaker:
    """Makes the hosts of one provision."""

    def __init__(self, site: Site, record: Record, template: ProvisionTemplate) -> None:
        self._site, self._record, self._template = site, record, template

    def make(self, slot: Slot, spec: ObjectSpec) -> Slot:
        """Make one host, or finish what an earlier run began, and return its slot.

        Raises:
            ConfigError: the provision has no cluster, or a value is wrong.
            OnedError: oned refused.
        """
        wanted = self.wanted(spec)
        cluster_id = self._record.cluster_id
        if cluster_id is None:
            raise ConfigError("the provision has no cluster, so it can have no host: the cluster must be made first")
        shown = self._shown(slot, wanted.hostname or spec.name or f"{self._record.name}-{slot.index}")
        host = self._begun(slot, shown)
        host_id = host.id if host else self._allocate(slot, shown, wanted)
        slot = self._record.put(begun(slot, host_id, shown))
        if host is None or not tags.is_of(host.template, self._record, slot):
            template = host_template(replace(wanted, hostname=shown), tags.of_slot(self._record, slot), self._site.keys)
            self._site.oned.update_host(host_id, template)
        if host is None or host.cluster_id != cluster_id:
            self._site.objects.add_to_cluster(cluster_id, "host", host_id)
        return replace(slot, spec_hash=wanted.spec_hash())

    def wanted(self, spec: ObjectSpec, *, keep: bool = True) -> HostSpec:
        """Return what a host is to be; ``keep``: inline credentials become a provider entry in oned first.

        Raises:
            ConfigError: credentials are incomplete, or a value is wrong.
        """
        found = host_spec(self._template, spec, self._record.wishes, self._driver_of)
        if found.account is not None and keep:
            self._site.directory.ensure_inline(found.account)
        return found

    def _driver_of(self, provider: str) -> str:
        return self._site.directory.entry(provider).driver

    def find(self, slot: Slot, spec: ObjectSpec) -> tuple[int, str] | None:
        """Return id and name of the host that an earlier run made for a slot and could not write down."""
        hostname = str(spec.provision.get("hostname") or "")
        shown = self._shown(slot, hostname or spec.name or f"{self._record.name}-{slot.index}")
        host = self._begun(slot, shown)
        return (host.id, shown) if host else None

    def _shown(self, slot: Slot, name: str) -> str:
        """Return the name of a host, one of its own where others of the provision have it (those that were added)."""
        others = [one.name for one in self._record.of_kind("hosts") if one.index != slot.index]
        return f"{name}-{slot.index}" if name in others else name

    def _begun(self, slot: Slot, shown: str) -> Host | None:
        """Return the host that an earlier run made; it has its tag, or a name of its own, is blank and new enough."""
        if slot.stage is not Stage.MAKING and slot.id is None:
            return None
        for host in self._site.oned.hosts():
            if tags.is_of(host.template, self._record, slot) or host.id == slot.id:
                return host
            blank = host.im_mad == IM_MAD and not host.template.vector(tags.ATTRIBUTE) and host.id > slot.after
            if blank and host.name in self._names(slot, shown) and host.cluster_id == DEFAULT_CLUSTER:
                return host
        return None

    def _names(self, slot: Slot, shown: str) -> tuple[str, str]:
        """Return the names a host may begin with: its own, or one that cannot be taken."""
        return shown, f"{shown}-{self._record.id}-{slot.index}"

    def _allocate(self, slot: Slot, shown: str, wanted: HostSpec) -> int:
        first, second = self._names(slot, shown)
        try:
            return self._site.oned.allocate_host(first, IM_MAD, wanted.vm_mad, DEFAULT_CLUSTER)
        except AllocateRefused as exc:
            renamed = wanted.attributes.get("RENAME", "yes").lower() not in ("no", "false")
            if "taken" not in str(exc) or not renamed:
                raise
            return self._site.oned.allocate_host(second, IM_MAD, wanted.vm_mad, DEFAULT_CLUSTER)
