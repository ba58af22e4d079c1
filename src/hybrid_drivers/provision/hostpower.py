"""Switching the machine of a host off, on and over. A machine that is off is still paid for."""

from __future__ import annotations

from hybrid_drivers.errors import ConfigError, Unsupported
from hybrid_drivers.model import Host
from hybrid_drivers.providers.base import Power
from hybrid_drivers.provision.hostlist import friendly
from hybrid_drivers.provision.site import Site


class HostPower:
    """Switches machines through their providers. ``force``: also under running virtual machines."""

    def __init__(self, site: Site, *, force: bool = False) -> None:
        self._site, self._force = site, force

    def off(self, host: Host) -> None:
        """Switch a machine off and take its host offline.

        Raises:
            ConfigError: it has no machine, or virtual machines run on it.
            ProviderError: the provider cannot, or refuses.
        """
        self._without_guests(host)
        power, machine = self._machine(host)
        power.power_off(machine)
        self._site.oned.set_host_status(host.id, "offline")

    def on(self, host: Host) -> None:
        """Switch a machine on and enable its host. Raises: ConfigError, ProviderError."""
        power, machine = self._machine(host)
        power.power_on(machine)
        self._site.enable(host.id)

    def restart(self, host: Host, *, hard: bool) -> None:
        """Restart a machine, from inside or (``hard``) as by its button. Raises: as :meth:`off`."""
        self._without_guests(host)
        power, machine = self._machine(host)
        (power.reset if hard else power.reboot)(machine)

    def _without_guests(self, host: Host) -> None:
        if host.running_vms and not self._force:
            raise ConfigError(
                f"{host.running_vms} virtual machines run on host {friendly(host)}: move or stop them first, or --force"
            )

    def _machine(self, host: Host) -> tuple[Power, str]:
        provision = host.template.vector("PROVISION")
        machine = provision.get("DEPLOY_ID", "")
        if not machine:
            raise ConfigError(f"host {friendly(host)} has no machine (yet): nothing can be switched")
        name = provision.get("RENTED_FROM") or provision.get("PROVIDER", "")
        provider = self._site.directory.provider(name)
        if not isinstance(provider, Power):
            raise Unsupported(f"provider {name} ({provider.entry.driver}) cannot switch machines")
        return provider, machine
