"""What runs between a start and a stop of the stand-in, put together and taken apart."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hybrid_drivers.clock import Clock
from hybrid_drivers.sandbox.frontend import cluster_calls, host_calls, other_calls, user_calls
from hybrid_drivers.sandbox.frontend.calls import Calls, Context, Method
from hybrid_drivers.sandbox.frontend.configuration import MonitordConf
from hybrid_drivers.sandbox.frontend.datastore_calls import Datastores
from hybrid_drivers.sandbox.frontend.document_calls import Documents
from hybrid_drivers.sandbox.frontend.drivers import DriverRun, Drivers
from hybrid_drivers.sandbox.frontend.hem import HookExecution
from hybrid_drivers.sandbox.frontend.hook_calls import Hooks
from hybrid_drivers.sandbox.frontend.image_calls import Images
from hybrid_drivers.sandbox.frontend.ipam import OneIpam
from hybrid_drivers.sandbox.frontend.knobs import Knobs
from hybrid_drivers.sandbox.frontend.market_calls import Apps
from hybrid_drivers.sandbox.frontend.monitor import Message, Monitor
from hybrid_drivers.sandbox.frontend.monitord import Key, Listener
from hybrid_drivers.sandbox.frontend.oned_conf import OnedConf
from hybrid_drivers.sandbox.frontend.scheduler import Scheduler
from hybrid_drivers.sandbox.frontend.server import Server, Site
from hybrid_drivers.sandbox.frontend.store import Store
from hybrid_drivers.sandbox.frontend.template_calls import VmTemplates, VnTemplates
from hybrid_drivers.sandbox.frontend.vm_calls import Vms
from hybrid_drivers.sandbox.frontend.vmgroup_calls import VmGroups
from hybrid_drivers.sandbox.frontend.vmm_exec import VmmExec, local_actions
from hybrid_drivers.sandbox.frontend.vnet_calls import Vnets

VERSION = "7.4.0"
_KINDS = (
    *(Datastores(), Vnets(), Images(), VmTemplates(), VnTemplates(), Documents(), Apps(), Vms()),
    VmGroups(),
    Hooks(lambda: METHODS),
)
METHODS: Mapping[str, Method] = {
    **host_calls.METHODS,
    **cluster_calls.METHODS,
    **other_calls.METHODS,
    **user_calls.METHODS,
    **{name: method for kind in _KINDS for name, method in kind.methods().items()},
}
_LOOK = 0.1  # seconds between looks at the timer knob, which may change at any time


@dataclass(frozen=True, kw_only=True)
class Setting:
    """All the parts need to know; ``address`` and the ports are where the sockets are already bound."""

    location: Path
    conf: MonitordConf
    oned_conf: OnedConf
    store: Store
    knobs: Knobs
    clock: Clock
    key: Key | None
    address: str
    environment: Mapping[str, str]
    session: str
    log: Callable[[str], None]
    on_run: Callable[[DriverRun], None]


class Sockets:
    """oned's and monitord's ports, bound before anything is told their numbers."""

    def __init__(self, address: str, port: int, monitord_port: int) -> None:
        self.server = Server(address, port)
        try:
            self.listener = Listener(address, monitord_port)
        except OSError:
            self.server.server_close()
            raise


class Parts:
    """oned and monitord while they run; ``leader`` gives the calls of whoever leads, ``site`` what HTTP serves."""

    def __init__(
        self,
        setting: Setting,
        sockets: Sockets,
        leader: Callable[[], Calls | None],
        site: Callable[[Calls], Site],
    ) -> None:
        self._setting, self._sockets = setting, sockets
        remotes, threads = setting.location / "var/remotes", setting.conf.threads()
        self._drivers = Drivers(remotes, setting.environment, threads, setting.knobs, setting.on_run)
        self._ipam = self._address_drivers() if (remotes / "ipam").is_dir() else None
        setting.store.ipam = self._ipam
        self._vmm = VmmExec(
            remotes,
            setting.environment,
            local=local_actions(setting.location / "etc/vmm_exec/vmm_execrc"),
            lock=setting.store.lock,
            on_run=setting.on_run,
        )
        hooks = setting.store.hooks
        self._hem = HookExecution(remotes, setting.environment, lambda: list(hooks.values()), setting.on_run)
        setting.store.hem = self._hem
        self.monitor = Monitor(
            store=setting.store,
            knobs=setting.knobs,
            clock=setting.clock,
            drivers=self._drivers,
            configuration=self._configuration,
            log=setting.log,
        )
        context = Context(
            store=setting.store,
            monitor=self.monitor,
            knobs=setting.knobs,
            version=VERSION,
            conf=setting.oned_conf,
            clock=setting.clock,
            vmm=self._vmm,
        )
        self._scheduler = Scheduler(context)
        self.calls = Calls(context, METHODS, setting.session, leader)
        self._ended = threading.Event()
        self._timer = threading.Thread(target=self._keep_time, daemon=True)
        self.monitor.load_hosts()
        sockets.listener.start(setting.key, self._message, setting.log)
        sockets.server.start(site(self.calls))
        self._timer.start()

    def end(self, *, terminate: bool) -> None:
        """Give the ports back and stop; see :meth:`Drivers.close` for ``terminate``."""
        self._ended.set()
        self._sockets.server.stop()
        self._sockets.listener.stop()
        self._drivers.close(terminate=terminate)
        self._vmm.close(terminate=terminate)
        if self._ipam is not None:
            self._ipam.close(terminate=terminate)
            if self._setting.store.ipam is self._ipam:
                self._setting.store.ipam = None
        self._hem.close(terminate=terminate)
        if self._setting.store.hem is self._hem:
            self._setting.store.hem = None
        self._timer.join()

    def _address_drivers(self) -> OneIpam:
        setting = self._setting
        return OneIpam(
            setting.location / "var/remotes",
            setting.environment,
            known=setting.oned_conf.ipam_drivers,
            lock=setting.store.lock,
            timeout=lambda: setting.knobs.ipam_timeout,
            on_run=setting.on_run,
        )

    def _message(self, message: Message) -> None:
        self.monitor.message(message)

    def _keep_time(self) -> None:
        since = time.monotonic()
        while not self._ended.wait(min(_LOOK, self._setting.knobs.timer_period)):
            with self._setting.store.lock:
                self._setting.store.agenda.catch_up(self._setting.clock.monotonic())
                if self._setting.knobs.raft_state.leads:
                    self._scheduler.tick(self._setting.clock.monotonic())
            if time.monotonic() - since >= self._setting.knobs.timer_period:
                since = time.monotonic()
                self.monitor.tick()

    def _configuration(self, host_id: int) -> str:
        setting, knobs = self._setting, self._setting.knobs
        changes: dict[str, str | Mapping[str, str]] = {
            "MANAGER_TIMER": f"{knobs.timer_period:g}",
            "MONITORING_INTERVAL_HOST": f"{knobs.monitoring_interval:g}",
            "NETWORK": {
                "ADDRESS": setting.address,
                "PORT": str(self._sockets.listener.port),
                "PUBKEY": setting.key.public_pem if setting.key else "",
            },
            "PROBES_PERIOD": {
                "BEACON_HOST": f"{knobs.beacon_period:g}",
                "MONITOR_HOST": f"{knobs.monitor_period:g}",
            },
        }
        return setting.conf.xml(host_id, changes)
