"""Bringing a provision to its template, or to another one: what was added is made, what left is given back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from hybrid_drivers.errors import HybridError
from hybrid_drivers.model import Template
from hybrid_drivers.provision import plan
from hybrid_drivers.provision.creation import Creation
from hybrid_drivers.provision.deleting import Deleter
from hybrid_drivers.provision.differences import Change, Difference
from hybrid_drivers.provision.failures import Failures
from hybrid_drivers.provision.kinds import ONED
from hybrid_drivers.provision.progress import Teller
from hybrid_drivers.provision.record import Record, Slot, Stage
from hybrid_drivers.provision.returning import Returns
from hybrid_drivers.provision.site import Site
from hybrid_drivers.provision.template.model import ProvisionTemplate

Configure = Callable[[Sequence[int]], None]  # runs the configuration of hosts again; raises HybridError
# What goes first when objects leave: nothing may be deleted while something else is in it.
LEAVING = ("flowtemplates", "vntemplates", "templates", "marketplaceapps", "images", "networks", "datastores")


class Application:
    """One run of bringing a provision to a template; the record has that template already."""

    def __init__(
        self,
        site: Site,
        record: Record,
        template: ProvisionTemplate,
        failures: Failures,
        teller: Teller,
        *,
        configure: Configure,
    ) -> None:
        self._site, self._record, self._teller, self._configure = site, record, teller, configure
        self._creation = Creation(site, record, template, failures, teller)
        self._returns = Returns(site, record, self._say)
        self._deleter = Deleter(site, record, self._say)

    def run(self, differences: Sequence[Difference]) -> None:
        """Carry out the changes: additions and updates first, then what is to go.

        Raises:
            HybridError: something could not be done; a later run goes on.
            Quit, CleanUp: as :meth:`Creation.run`.
        """
        going = [slot for one in differences if (slot := self._take_in(one)) is not None]
        self._site.store.save(self._record)
        for one in differences:
            self._update(one)
        self._creation.run()
        hosts = [one.slot.id for one in differences if one.change is Change.CONFIGURE and one.slot is not None]
        if hosts:
            self._configure([host for host in hosts if host is not None])
        self._remove(going)

    def _take_in(self, one: Difference) -> Slot | None:
        """Write a change into the record; return the slot that is to go."""
        record, slot = self._record, one.slot
        if one.change is Change.REMOVE:
            return slot
        if one.change is Change.REPLACE and slot is not None:
            plan.add_slot(record, "hosts", one.spec)
            return slot
        if slot is None:
            plan.add_slot(record, one.kind, one.spec)
        elif one.change is Change.ADD:
            record.put(replace(slot, spec=one.spec, id=None, name="", stage=Stage.PLANNED, problem=""))
        elif not slot.made_by:
            record.put(replace(slot, spec=one.spec))
        return None

    def _update(self, one: Difference) -> None:
        slot = one.slot
        if slot is None or slot.id is None:
            return
        if one.change is Change.RETRY:
            self._site.enable(slot.id)
        elif one.update is not None and one.change in (Change.UPDATE, Change.CONFIGURE):
            ranges = one.update.vectors("AR")
            rest = Template(pair for pair in one.update if pair[0] != "AR")
            if list(rest):
                self._site.objects.update(ONED[slot.kind], slot.id, rest)
            for address_range in ranges:
                self._site.objects.add_address_range(slot.id, address_range)
            self._say(f"{plan.label(slot)} {'updated' if list(one.update) else 'left as it is'}")

    def _remove(self, going: Sequence[Slot]) -> None:
        hosts = [slot for slot in going if slot.kind == "hosts"]
        give_back(self._site, self._record, self._returns, hosts)
        for kind in LEAVING:
            for slot in (one for one in going if one.kind == kind):
                self._deleter.delete(slot)
        self._site.store.save(self._record)

    def _say(self, text: str) -> None:
        self._site.store.note(self._record, text)
        self._teller.say(text)


def give_back(site: Site, record: Record, returns: Returns, slots: Sequence[Slot]) -> None:
    """Delete hosts, wait until their machines are gone, and forget them.

    Raises:
        HybridError: a machine is not confirmed to be gone, or oned refused; another run goes on.
    """
    if not slots and not record.leaving:
        return
    returns.delete(slots)
    left = returns.confirm()
    for slot in slots:
        record.drop(slot)
    site.store.save(record)
    if left:
        names = ", ".join(f"{one.name} (machine {one.machine or 'unknown'} at {one.provider})" for one in left)
        raise HybridError(
            f"not confirmed to be given back: {names}; the agent goes on with it: 'onehybrid agent status', and "
            f"'oneprovision apply {record.id}' looks again"
        )
