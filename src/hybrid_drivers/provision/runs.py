"""Beginning a provision and going on with it: what ``create`` and ``resume`` do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.provision.creation import Creation
from hybrid_drivers.provision.failures import CleanUp, Failures
from hybrid_drivers.provision.lock import Lock
from hybrid_drivers.provision.making import Maker
from hybrid_drivers.provision.plan import Specs, lay_out
from hybrid_drivers.provision.progress import Teller
from hybrid_drivers.provision.record import Record, State, Wishes
from hybrid_drivers.provision.removal import Removal
from hybrid_drivers.provision.site import Site
from hybrid_drivers.provision.template.dump import dump
from hybrid_drivers.provision.template.load import parse_template
from hybrid_drivers.provision.template.model import ProvisionTemplate

CLEANUP_TIMEOUT = 20.0  # seconds for each virtual machine or image to go; OneProvision's default


@dataclass(frozen=True, kw_only=True)
class Order:
    """What somebody wants made. ``source`` is the template's file, for people."""

    template: ProvisionTemplate
    name: str
    inputs: Mapping[str, str]
    wishes: Wishes
    source: str = ""
    providers: str = ""  # the names of the provider entries, for people

    def digest(self) -> str:
        """Return a digest of all of it, to know a second call of the same from another one."""
        what = [dump(self.template, masked=False), self.name, dict(self.inputs), vars(self.wishes)]
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def begin(site: Site, order: Order) -> Record:
    """Write a new provision, or return the unfinished one of this name that was begun with the same order.

    Raises:
        ConfigError: one of this name is finished, is being deleted, or was begun with something else.
    """
    known = [one for one in site.store.known() if one.name == order.name]
    if known:
        return _unfinished(site.store.read(known[0].id), order)
    record = Record(
        name=order.name,
        template=dump(order.template, masked=False),
        description=order.template.description,
        source=order.source,
        digest=order.digest(),
        inputs=dict(order.inputs),
        provider=order.providers,
        wishes=order.wishes,
        started=site.clock.now(),
    )
    lay_out(record, Specs.of(order.template), hosts=not order.wishes.skip_provision)
    return site.store.create(record)


def _unfinished(record: Record, order: Order) -> Record:
    named = f"provision {record.id} '{record.name}'"
    if record.state is State.RUNNING:
        raise ConfigError(
            f"{named} exists and is running: 'oneprovision apply {record.id} FILE' changes it, --name makes another one"
        )
    if record.state is State.DELETING:
        raise ConfigError(f"{named} is being deleted: 'oneprovision delete {record.id}' goes on with that")
    if record.digest != order.digest():
        raise ConfigError(
            f"{named} was begun with another template or other inputs: 'oneprovision resume {record.id}' goes on with "
            f"those, 'oneprovision delete {record.id}' gives it up"
        )
    return record


def go_on(
    site: Site, provision_id: int, failures: Failures, teller: Teller, *, timeout: float = CLEANUP_TIMEOUT
) -> Record | None:
    """Make what is not there yet of a provision; None: it failed and everything was taken away again.

    Raises:
        Quit: something failed, and that is where it ends; a later run goes on.
        ConfigError: somebody else works on it, or it is being deleted.
        HybridError: what was to be taken away could not be.
    """
    with Lock(site.oned, provision_id, site.clock, "create"):
        record = site.store.read(provision_id)
        if record.state is State.DELETING:
            raise ConfigError(
                f"provision {record.id} '{record.name}' is being deleted: 'oneprovision delete {record.id}' goes on"
            )
        template = parse_template(record.template, record.source or record.name)
        try:
            Creation(site, record, template, failures, teller).run()
        except CleanUp as exc:
            record.state, record.problem = State.ERROR, str(exc)
            site.store.save(record)
            Removal(site, record, teller, cleanup=True, timeout=timeout).run()
            return None
        return record


def take_away(site: Site, provision_id: int, teller: Teller, *, cleanup: bool, timeout: float) -> None:
    """Delete a provision with all it made.

    Raises:
        NotEmpty: others would lose something; nothing was changed.
        ConfigError: somebody else works on it.
        HybridError: something is left; another run goes on.
    """
    with Lock(site.oned, provision_id, site.clock, "delete"):
        record = site.store.read(provision_id)
        Maker(site, record, parse_template(record.template, record.source or record.name)).adopt()
        Removal(site, record, teller, cleanup=cleanup, timeout=timeout).run()
