"""What a template would make, and what it would cost: nothing is made, and the provider is asked for prices at most."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.model import Placement
from hybrid_drivers.providers.base import Provider
from hybrid_drivers.providers.prices import price_of
from hybrid_drivers.provision import plan
from hybrid_drivers.provision.hostspec import HostSpec, host_spec
from hybrid_drivers.provision.plan import Specs
from hybrid_drivers.provision.record import Wishes
from hybrid_drivers.provision.scope import Seen, attributes
from hybrid_drivers.provision.site import Site
from hybrid_drivers.provision.template.expressions import Scope
from hybrid_drivers.provision.template.model import KINDS, ObjectSpec, ProvisionTemplate
from hybrid_drivers.provision.template.render import resolve, to_template

HOURS_A_MONTH = 730


@dataclass(frozen=True, kw_only=True)
class PlannedObject:
    """An object that would be made. Of hosts: where from, what and where; ``price`` an hour, None: not told."""

    kind: str
    name: str
    detail: str = ""
    provider: str = ""
    plan: str = ""
    place: str = ""
    price: float | None = None
    currency: str = ""

    @property
    def price_text(self) -> str:
        """Return the price of an hour for people, empty when nobody tells it."""
        return "" if self.price is None else f"{self.price:.2f} {self.currency}"


@dataclass(frozen=True, kw_only=True)
class Preview:
    """All that would be made, in order."""

    name: str
    objects: Sequence[PlannedObject]

    def total(self) -> dict[str, float]:
        """Return the price of all hosts an hour, by currency; hosts whose price nobody tells are not in it."""
        sums: dict[str, float] = {}
        for one in self.objects:
            if one.price is not None:
                sums[one.currency] = sums.get(one.currency, 0.0) + one.price
        return sums

    @property
    def unpriced(self) -> int:
        """Return how many hosts have a price that nobody tells."""
        return sum(one.kind == "hosts" and one.price is None for one in self.objects)


class Previewer:
    """Looks at one template on one front-end."""

    def __init__(self, site: Site, template: ProvisionTemplate, name: str, wishes: Wishes) -> None:
        self._site, self._template, self._name, self._wishes = site, template, name, wishes
        self._specs = Specs.of(template)
        self._objects = _Expected(self._specs, name)
        self._providers: dict[str, Provider] = {}

    def preview(self) -> Preview:
        """Return what would be made.

        Raises:
            ConfigError: a provider entry is missing or wrong, or an attribute does not fit.
        """
        kinds = [kind for kind in KINDS if kind != "hosts" or not self._wishes.skip_provision]
        return Preview(name=self._name, objects=[one for kind in kinds for one in self._of_kind(kind)])

    def _of_kind(self, kind: str) -> Iterator[PlannedObject]:
        for at, spec in enumerate(self._specs.by_kind[kind]):
            known = resolve(spec, self._scope(spec, at))
            yield self._host(known, at) if kind == "hosts" else _planned(kind, known, self._name, at)

    def _scope(self, spec: ObjectSpec, at: int) -> Scope:
        index = spec.index if spec.index is not None else at
        provider = self._wishes.provider or self._template.provider
        return Scope(name=self._name, provision_id=0, index=index, provider=provider, objects=self._objects)

    def _host(self, spec: ObjectSpec, at: int) -> PlannedObject:
        host = host_spec(self._template, spec, self._wishes, lambda one: self._site.directory.entry(one).driver)
        name, provider = self._provider(host, f"{spec.file}:{spec.line}")
        placements = provider.placements({**provider.entry.defaults, **host.attributes_of_machine()})
        first = placements[0] if placements else Placement(plan="", place="")
        price = price_of(provider, first)
        more = f", or {len(placements) - 1} more choices" if len(placements) > 1 else ""
        return PlannedObject(
            kind="hosts",
            name=host.hostname or f"{self._name}-{at}",
            detail=f"{host.vm_mad}, playbook {host.attributes['PLAYBOOK']}{more}",
            provider=name,
            plan=first.plan,
            place=first.place or provider.entry.text("region"),
            price=price.amount if price else None,
            currency=price.currency if price else "",
        )

    def _provider(self, host: HostSpec, where: str) -> tuple[str, Provider]:
        """Return the provider of a host and its name; inline credentials make one that is not kept."""
        from hybrid_drivers.providers.registry import make_provider

        name, entry = host.provider, host.account
        if not name:
            raise ConfigError(f"{where}: the host names no provider: add provider, or give --provider")
        if name not in self._providers:
            made = (
                make_provider(entry, self._site.clock, state_dir=self._site.state)
                if entry
                else self._site.directory.provider(name)
            )
            self._providers[name] = made
        return name, self._providers[name]


class _Expected(Mapping[str, Sequence[Seen]]):
    """The objects as they will be, with words where there are no ids yet."""

    def __init__(self, specs: Specs, name: str) -> None:
        self._specs, self._name = specs, name

    def __getitem__(self, kind: str) -> Sequence[Seen]:
        return [self._one(kind, spec, at) for at, spec in enumerate(self._specs.by_kind[kind])]

    def __iter__(self) -> Iterator[str]:
        return iter(KINDS)

    def __len__(self) -> int:
        return len(KINDS)

    def _one(self, kind: str, spec: ObjectSpec, at: int) -> Seen:
        try:
            known = attributes(to_template(spec.body))
        except ConfigError:
            known = {}
        number = "" if at == 0 and kind == "clusters" else f" {at}"
        return {**known, "ID": f"<id of {plan.WORDS[kind]}{number}>", "NAME": spec.name or self._name}


def _planned(kind: str, spec: ObjectSpec, name: str, at: int) -> PlannedObject:
    fallback = name if kind == "clusters" else f"{name}-{plan.WORDS[kind].replace(' ', '-')}-{at}"
    shown = [f"{key} {spec.body[key]}" for key in ("tm_mad", "vn_mad", "type", "path", "appname") if spec.body.get(key)]
    return PlannedObject(kind=kind, name=spec.name or fallback, detail=", ".join(shown))
