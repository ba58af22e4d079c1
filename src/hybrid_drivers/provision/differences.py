"""What differs between a provision and its template, or another one: looked at, never changed."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from hybrid_drivers.errors import HybridError, NoSuchObject
from hybrid_drivers.model import Host, OnedObject, Template, Value
from hybrid_drivers.provision import plan, tags
from hybrid_drivers.provision.hostmaking import HostMaker
from hybrid_drivers.provision.hostspec import NEUTRAL, HostSpec, host_template
from hybrid_drivers.provision.kinds import ONED
from hybrid_drivers.provision.making import Maker
from hybrid_drivers.provision.plan import Specs
from hybrid_drivers.provision.record import Record, Slot
from hybrid_drivers.provision.site import Site
from hybrid_drivers.provision.template.grammar import UPDATED
from hybrid_drivers.provision.template.model import KINDS, ObjectSpec, ProvisionTemplate

WRITTEN_BY_US = frozenset({"DEPLOY_ID", "RENTED_FROM", "HOSTNAME", *tags.KEYS})
NOT_COMPARED = frozenset(
    {"NAME", "AR", "PROVISION", "DS_ID", "SIZE", "PATH", "TYPE"} | {"AUTOMATIC_VLAN_ID", "AUTOMATIC_OUTER_VLAN_ID"}
)  # given once, when it is made


class Change(str, enum.Enum):
    """What would bring an object to the template."""

    ADD = "add"
    REMOVE = "remove"
    UPDATE = "update"  # attributes in oned
    CONFIGURE = "configure"  # a host, in place
    REPLACE = "replace"  # a host: what it rents cannot be changed in place
    RETRY = "retry"  # a host that failed


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One object that is not as the template says; ``details`` are sentences. ``spec`` is its place in the template."""

    change: Change
    kind: str
    name: str
    details: tuple[str, ...] = ()
    slot: Slot | None = None
    spec: int = -1
    update: Template | None = None


class Comparison:
    """Compares one provision with a template; ``scaled``: hosts beyond the template's are wanted."""

    def __init__(self, site: Site, record: Record, template: ProvisionTemplate, *, scaled: bool) -> None:
        self._site, self._record, self._scaled = site, record, scaled
        self._specs = Specs.of(template)
        self._maker = Maker(site, record, template)
        self._hosts = HostMaker(site, record, template)
        self._there = {host.id: host for host in site.oned.hosts()}

    def differences(self) -> list[Difference]:
        """Return all that differs, in the order of the template.

        Raises:
            HybridError: oned cannot be asked, or an expression of the template cannot be replaced.
        """
        found: list[Difference] = []
        with suppress(HybridError):  # no host can be asked: what they would tell is not compared
            self._maker.learn_from_hosts()
        for kind in KINDS:
            if kind == "hosts" and self._record.wishes.skip_provision:
                continue
            pairs, extra = self._matched(kind)
            for at, slot in pairs:
                found += self._of_pair(kind, at, slot)
            found += [Difference(change=Change.REMOVE, kind=kind, name=_name(slot), slot=slot) for slot in extra]
        return found

    # --- which object is which --------------------------------------------------------------------------------------

    def _matched(self, kind: str) -> tuple[list[tuple[int, Slot | None]], list[Slot]]:
        """Pair the template's objects with the provision's, by name first and then in order; and return the rest."""
        specs = self._specs.by_kind[kind]
        left = [slot for slot in self._record.of_kind(kind) if not slot.made_by]
        names = [_wanted_name(spec) for spec in specs]
        pairs: dict[int, Slot | None] = {}
        for at, name in enumerate(names):
            named = next((slot for slot in left if name and slot.name == name), None)
            if named is not None:
                pairs[at] = named
                left.remove(named)
        for at, name in enumerate(names):
            if at not in pairs:
                fits = next((slot for slot in left if not name or "${" in name or "<%" in name or not slot.name), None)
                pairs[at] = fits
                if fits is not None:
                    left.remove(fits)
        if self._scaled and kind == "hosts" and specs:  # there are as many as were asked for last
            return [
                *((at, slot) for at, slot in sorted(pairs.items()) if slot),
                *((len(specs) - 1, slot) for slot in left),
            ], []
        return sorted(pairs.items()), left

    def _of_pair(self, kind: str, at: int, slot: Slot | None) -> list[Difference]:
        spec = self._specs.by_kind[kind][at]
        if slot is None or (not slot.exists and kind != "marketplaceapps"):
            name = _name(slot) if slot else self._new_name(kind, at, spec)
            return [Difference(change=Change.ADD, kind=kind, name=name, slot=slot, spec=at)]
        if kind == "hosts":
            return self._host(at, slot)
        return [] if kind in ("marketplaceapps", "flowtemplates") else self._object(kind, at, slot)

    def _new_name(self, kind: str, at: int, spec: ObjectSpec) -> str:
        """Return what an object that is not there would be called, as far as that can be said before it is made."""
        index = self._record.issued.get(kind, 0)
        with suppress(HybridError):  # it may look at an object that is not there either
            spec = self._maker.resolved(kind, at, Slot(kind=kind, index=index, spec=at))
        return _wanted_name(spec) or f"{plan.WORDS[kind]} {index}"

    # --- what differs in it -----------------------------------------------------------------------------------------

    def _object(self, kind: str, at: int, slot: Slot) -> list[Difference]:
        try:
            there = self._site.objects.get(ONED[kind], slot.number)
        except NoSuchObject:
            gone = "it was deleted outside of the provision"
            return [Difference(change=Change.ADD, kind=kind, name=_name(slot), details=(gone,), slot=slot, spec=at)]
        wanted = self._maker.content(slot, self._maker.resolved(kind, at, slot))
        changed = [
            (name, value)
            for name, value in wanted
            if name not in NOT_COMPARED and not _unknown(value) and not _has(there.template, name, value)
        ]
        ranges, notes = _ranges(wanted, there) if kind == "networks" else ((), ())
        details = (*(_said(name, there.template, value) for name, value in changed), *notes)
        if not details:
            return []
        update = Template([*changed, *(("AR", one) for one in ranges)])
        return [
            Difference(
                change=Change.UPDATE, kind=kind, name=_name(slot), details=details, slot=slot, spec=at, update=update
            )
        ]

    def _host(self, at: int, slot: Slot) -> list[Difference]:
        host = self._there.get(slot.number)
        if host is None:
            gone = "it was deleted outside of the provision"
            return [Difference(change=Change.ADD, kind="hosts", name=_name(slot), details=(gone,), slot=slot, spec=at)]
        found = self._hosts.wanted(self._maker.resolved("hosts", at, slot), keep=False)
        rented, configured = self._compare(host, found)
        if rented:
            change, details = Change.REPLACE, (*rented, *configured)
        elif configured:
            change, details = Change.CONFIGURE, tuple(configured)
        elif host.template.text("PROVISION_STATE") == "ERROR":
            change, details = Change.RETRY, (host.template.text("PROVISION_ERROR"),)
        elif drift := host.template.text("PROVISION_DRIFT"):
            change, details = Change.CONFIGURE, (drift,)
        else:
            return []
        update = self._update(host, found, slot)
        return [
            Difference(
                change=change, kind="hosts", name=_name(slot), details=details, slot=slot, spec=at, update=update
            )
        ]

    def _compare(self, host: Host, wanted: HostSpec) -> tuple[list[str], list[str]]:
        """Say what differs in what the host rents, and in how it is configured."""
        has = {k: v for k, v in host.template.vector("PROVISION").items() if k not in WRITTEN_BY_US}
        keys = [key for key in sorted({*has, *wanted.attributes}) if has.get(key, "") != wanted.attributes.get(key, "")]
        said = {key: f"{key}: {has.get(key, '-')} -> {wanted.attributes.get(key, '-')}" for key in keys}
        rented = [text for key, text in said.items() if key not in NEUTRAL]
        configured = [text for key, text in said.items() if key in NEUTRAL]
        target = host_template(wanted, {}, self._site.keys)
        name = "PROVISION_CONFIGURATION_BASE64"
        if host.template.text(name) != target.text(name):
            configured.append("the parameters of roles differ")
        return rented, configured

    def _update(self, host: Host, wanted: HostSpec, slot: Slot) -> Template:
        """Return what makes a host's attributes those of the template, keeping what we wrote ourselves."""
        kept = {k: v for k, v in host.template.vector("PROVISION").items() if k in WRITTEN_BY_US}
        target = host_template(wanted, {**kept, **tags.of_slot(self._record, slot)}, self._site.keys)
        pairs = [pair for pair in target if pair[0] != "PROVISION_CONNECTION"]
        if "PROVISION_CONFIGURATION_BASE64" not in target:
            pairs.append(("PROVISION_CONFIGURATION_BASE64", ""))
        return Template(pairs)


def _ranges(wanted: Template, there: OnedObject) -> tuple[list[Mapping[str, str]], list[str]]:
    """Return the address ranges a network lacks, and sentences about all that differs in its ranges."""
    want, have = wanted.vectors("AR"), there.address_ranges
    notes = [
        f"address range {at}: {key} is {one.get(key, '-')}, not {value}: it cannot be changed in place"
        for at, (new, one) in enumerate(zip(want, have, strict=False))
        for key, value in new.items()
        if one.get(key, value) != value
    ]
    new = want[len(have) :]
    return list(new), [*notes, *(f"address range {len(have) + at} is new" for at in range(len(new)))]


def _wanted_name(spec: ObjectSpec) -> str:
    hostname = spec.provision.get("hostname") if spec.kind == "hosts" else None
    return str(hostname or spec.name or "")


def _name(slot: Slot) -> str:
    return slot.name or f"{plan.WORDS[slot.kind]} {slot.index}"


def _unknown(value: Value) -> bool:
    """Tell whether a value waits for what hosts tell once they run (``provision.hostfacts``)."""
    return f"${{{UPDATED}." in str(value)


def _has(template: Template, name: str, value: Value) -> bool:
    """Tell whether a template has an attribute as wanted; a vector may hold more than that."""
    if isinstance(value, str):
        return template.text(name) == value
    wanted: Mapping[str, str] = {key.upper(): text for key, text in value.items()}
    return any(all(vector.get(key, "") == text for key, text in wanted.items()) for vector in template.vectors(name))


def _said(name: str, template: Template, value: Value) -> str:
    if isinstance(value, str):
        return f"{name}: {template.text(name) or '-'} -> {value}"
    return f"{name}: other values"


def summary(differences: Sequence[Difference]) -> str:
    """Count the changes for people: ``2 to add, 1 to remove``."""
    counts = [(change, sum(one.change is change for one in differences)) for change in Change]
    return ", ".join(f"{count} to {change.value}" for change, count in counts if count) or "nothing differs"


def check(differences: Sequence[Difference], *, replace: bool) -> None:
    """Refuse what cannot be done. Raises: HybridError."""
    if any(one.change is Change.REPLACE for one in differences) and not replace:
        names = ", ".join(one.name for one in differences if one.change is Change.REPLACE)
        raise HybridError(
            f"these hosts would rent other machines, which cannot be changed in place: {names}; --replace gives their "
            "machines back and rents new ones"
        )
