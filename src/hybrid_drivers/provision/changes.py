"""Changing a provision that is there: scale, diff and apply, each with the provision's lock where it writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.provision import differences as differing
from hybrid_drivers.provision import scaling
from hybrid_drivers.provision.application import Application, Configure, give_back
from hybrid_drivers.provision.creation import Creation
from hybrid_drivers.provision.differences import Comparison, Difference
from hybrid_drivers.provision.failures import Failures
from hybrid_drivers.provision.lock import Lock
from hybrid_drivers.provision.plan import Specs
from hybrid_drivers.provision.progress import Teller
from hybrid_drivers.provision.record import Record, Slot, Stage, State
from hybrid_drivers.provision.returning import Returns
from hybrid_drivers.provision.runs import Order
from hybrid_drivers.provision.site import Site
from hybrid_drivers.provision.template.dump import dump
from hybrid_drivers.provision.template.load import parse_template
from hybrid_drivers.provision.template.model import ProvisionTemplate


@dataclass(frozen=True, kw_only=True)
class ScalePlan:
    """How a number of hosts is reached."""

    add: int
    remove: Sequence[Slot]


def compare(site: Site, record: Record, order: Order | None) -> list[Difference]:
    """Return what differs between a provision and its own template, or that of ``order``. Nothing is changed.

    Raises:
        HybridError: oned cannot be asked, or the template does not fit.
    """
    if order is None:
        return Comparison(site, record, template_of(record), scaled=True).differences()
    return Comparison(site, record, order.template, scaled=False).differences()


def apply(
    site: Site,
    provision_id: int,
    order: Order | None,
    failures: Failures,
    teller: Teller,
    *,
    configure: Configure,
    replace_hosts: bool,
) -> None:
    """Bring a provision to its template, or to that of ``order``.

    Raises:
        ConfigError: somebody else works on it, or it is being deleted.
        HybridError: something could not be done; another run goes on.
        Quit, CleanUp: as :meth:`Creation.run`.
    """
    with Lock(site.oned, provision_id, site.clock, "apply"):
        record = _alive(site.store.read(provision_id))
        found = compare(site, record, order)
        differing.check(found, replace=replace_hosts)
        template = template_of(record)
        if order is not None:
            template = order.template
            record.template, record.inputs = dump(template, masked=False), dict(order.inputs)
            record.source, record.provider = order.source or record.source, order.providers or record.provider
            record.description = template.description
        site.store.note(record, f"apply: {differing.summary(found)}")
        Application(site, record, template, failures, teller, configure=configure).run(found)


def scale_plan(site: Site, provision_id: int, hosts: int) -> ScalePlan:
    """Return how a provision would get to a number of hosts.

    Raises:
        ConfigError: too many of its hosts carry virtual machines.
    """
    return _scale_plan(site, _alive(site.store.read(provision_id)), hosts)


def scale(site: Site, provision_id: int, hosts: int, failures: Failures, teller: Teller) -> None:
    """Bring a provision to a number of hosts.

    Raises:
        ConfigError: somebody else works on it, or too many of its hosts carry virtual machines.
        HybridError: something could not be done; another run goes on.
        Quit, CleanUp: as :meth:`Creation.run`.
    """
    with Lock(site.oned, provision_id, site.clock, "scale"):
        record = _alive(site.store.read(provision_id))
        planned = _scale_plan(site, record, hosts)
        left_out = [slot for slot in record.of_kind("hosts") if slot.stage is Stage.SKIPPED]  # one may still be there
        give_back(site, record, Returns(site, record, teller.say), [*planned.remove, *left_out])
        if planned.add:
            scaling.add_hosts(record, Specs.of(template_of(record)), amount=planned.add)
        _create(site, record, failures, teller, f"scaled to {hosts} hosts")


def add_hosts(
    site: Site,
    provision_id: int,
    failures: Failures,
    teller: Teller,
    *,
    amount: int,
    names: Sequence[str] = (),
    parameters: Mapping[str, str] | None = None,
) -> None:
    """Add hosts to a provision, made like its last one.

    Raises:
        ConfigError, HybridError, Quit, CleanUp: as :func:`scale`.
    """
    with Lock(site.oned, provision_id, site.clock, "host add"):
        record = _alive(site.store.read(provision_id))
        specs = Specs.of(template_of(record))
        scaling.add_hosts(record, specs, amount=amount, names=names, parameters=parameters)
        _create(site, record, failures, teller, f"{amount} hosts added")


def remove_hosts(site: Site, provision_id: int, host_ids: Sequence[int], teller: Teller) -> None:
    """Give hosts of a provision back; it goes on without them.

    Raises:
        ConfigError: one is not the provision's, or somebody else works on it.
        HybridError: virtual machines run on one, or a machine is not confirmed to be gone.
    """
    with Lock(site.oned, provision_id, site.clock, "host delete"):
        record = site.store.read(provision_id)
        slots = [slot for slot in record.exists("hosts") if slot.id in host_ids]
        if strange := sorted(set(host_ids) - {slot.id for slot in slots}):
            raise ConfigError(f"host {strange[0]} is not one that provision {provision_id} made")
        site.store.note(record, f"deleting {', '.join(slot.name for slot in slots)}")
        give_back(site, record, Returns(site, record, teller.say), slots)


def template_of(record: Record) -> ProvisionTemplate:
    """Return the template a provision was made from."""
    return parse_template(record.template, record.source or record.name)


def _create(site: Site, record: Record, failures: Failures, teller: Teller, text: str) -> None:
    site.store.note(record, text)
    site.store.save(record)
    Creation(site, record, template_of(record), failures, teller).run()


def _scale_plan(site: Site, record: Record, hosts: int) -> ScalePlan:
    wanted = [slot for slot in record.of_kind("hosts") if slot.stage is not Stage.SKIPPED]
    if hosts >= len(wanted):
        return ScalePlan(add=hosts - len(wanted), remove=())
    there = {host.id: host for host in site.oned.hosts()}
    return ScalePlan(add=0, remove=scaling.to_remove(record, there, len(wanted) - hosts))


def _alive(record: Record) -> Record:
    if record.state is State.DELETING:
        raise ConfigError(
            f"provision {record.id} '{record.name}' is being deleted: 'oneprovision delete {record.id}' goes on"
        )
    return record
