"""A whole laboratory at once: front-end, provider and machines, with a provider entry and a cluster ready to use.

The demo, the end-to-end tests and the benchmarks stand on it. The agent in it is the real one, started by the real
thin client that the stand-in runs as oned does.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from hybrid_drivers.config import Location
from hybrid_drivers.errors import NoSuchObject
from hybrid_drivers.model import Host, Template
from hybrid_drivers.oned.api import Oned
from hybrid_drivers.oned.objects import Objects
from hybrid_drivers.oned.xml import parse_host
from hybrid_drivers.sandbox.ec2_api import SECRET_ACCESS_KEY, Ec2Simulator
from hybrid_drivers.sandbox.frontend import Frontend
from hybrid_drivers.sandbox.knobs import Knobs
from hybrid_drivers.sandbox.machines import Machines, make_machines
from hybrid_drivers.sandbox.packet_api import TOKEN, PacketSimulator

T = TypeVar("T")
ENTRIES = {"packet": "packet-ams", "ec2": "aws-eu"}
WAIT_LIMIT = 120.0  # seconds for what a lab is waited for: several times what a busy computer needs
STOP_LIMIT = 30.0  # seconds the agent gets to end


@dataclass(kw_only=True)
class LabOptions:
    """What the laboratory is made of. ``limits`` are those of the provider entry, seconds."""

    provider: str = "packet"
    machines: str = "light"
    limits: Mapping[str, float] = field(default_factory=lambda: {"settle": 2, "poll": 0.3})
    provision: Mapping[str, str] = field(default_factory=dict)  # over what the provider needs at least
    agent: Mapping[str, float] = field(default_factory=dict)  # the agent section of hybrid.yaml
    # Nothing here reaches OpenNebula's own repository: nodes are made of the distribution's packages.
    configuration: Mapping[str, str] = field(default_factory=lambda: {"opennebula_repository_enabled": "no"})
    knobs: Knobs = field(default_factory=Knobs)
    step_delay: float = 0.02  # seconds a step takes on a light machine
    secret: str = ""  # the account's token or secret key; the simulator's own when empty


class Lab:
    """The laboratory; a context manager that leaves nothing behind."""

    def __init__(self, options: LabOptions | None = None) -> None:
        self.options = options or LabOptions()
        self._undo = ExitStack()

    def __enter__(self) -> Lab:
        with ExitStack() as undo:
            self.folder = Path(tempfile.mkdtemp(prefix="onehybrid-lab-"))
            undo.callback(shutil.rmtree, self.folder, ignore_errors=True)
            self._build(undo)
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def _build(self, undo: ExitStack) -> None:
        options = self.options
        self.machines = make_machines(options.machines, self.folder / "machines", step_delay=options.step_delay)
        undo.callback(self.machines.close)
        self.simulator = _simulator(options, self.machines)
        self.simulator.start()
        undo.callback(self.simulator.stop)
        # Real machines send their beacons from another network namespace, so loopback does not do for them.
        address = "0.0.0.0" if options.machines == "nspawn" else "127.0.0.1"
        self.frontend = Frontend(self.folder / "one", address=address)
        self.frontend.start()
        undo.callback(self.frontend.stop)
        undo.callback(self.end_agent)
        self.location = Location.from_environment(self.frontend.environment)
        self.oned = Oned.from_location(self.location)
        self._configure()
        self.cluster_id = self.oned.allocate_cluster("edge")
        self.provision(options.provision)

    def _configure(self) -> None:
        import yaml

        settings = {"agent": dict(self.options.agent), "defaults": {"configuration": dict(self.options.configuration)}}
        (self.location.etc / "hybrid.yaml").write_text(yaml.safe_dump(settings))
        self.write_entry(ENTRIES[self.options.provider], self.entry())

    # --- what a person would do ---------------------------------------------------------------------------------

    def entry(self) -> dict[str, object]:
        """Return the provider entry that reaches the simulator."""
        common: dict[str, object] = {
            "endpoint": self.simulator.url,
            "remote_port": self.machines.ssh_port,
            "limits": dict(self.options.limits),
        }
        if isinstance(self.simulator, Ec2Simulator):
            keys = {"access_key": self.simulator.access_key_id, "secret_key": self.simulator.secret_access_key}
            return {"driver": "ec2", "region": self.simulator.region, **keys, **common}
        return {"driver": "packet", "token": self.simulator.token, "project": self.simulator.project, **common}

    def write_entry(self, name: str, entry: Mapping[str, object]) -> Path:
        """Write a file of ``providers.d``."""
        import yaml

        folder = self.location.etc / "providers.d"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / f"{name}.yaml"
        path.touch(mode=0o600)
        path.chmod(0o600)
        path.write_text(yaml.safe_dump(dict(entry)))
        return path

    def provision(self, attributes: Mapping[str, str]) -> None:
        """Set PROVISION of the cluster: the provider's least, and ``attributes`` over it."""
        if isinstance(self.simulator, Ec2Simulator):
            least = {"INSTANCETYPE": "c5.metal", "AMI": self.simulator.image}
        else:
            least = {"PLAN": "c3.small.x86", "OS": "debian_12", "METRO": "am"}
        whole = {"PROVIDER": ENTRIES[self.options.provider], **least, **attributes}
        self.oned.update_cluster(self.cluster_id, Template([("PROVISION", whole)]))

    def create(self, name: str) -> int:
        """Do what ``onehost create NAME -i provision -v kvm -c edge`` does; return the host's id."""
        return self.oned.allocate_host(name, "provision", "kvm", self.cluster_id)

    @property
    def objects(self) -> Objects:
        """Return oned's pools."""
        return Objects(self.oned)

    def host(self, host_id: int) -> Host:
        """Return a host as oned would; many wait by asking for it, so there is no call. Raises: NoSuchObject."""
        try:
            document = self.frontend.host_xml(host_id)
        except KeyError:
            raise NoSuchObject(f"host {host_id}: there is none") from None
        return parse_host(document, f"host {host_id}")

    # --- what a test looks at -----------------------------------------------------------------------------------

    def alive(self) -> list[Mapping[str, object]]:
        """Return the machines that the provider has now."""
        return [one for one in self.simulator.machines if not one["deleted"]]

    def made(self) -> int:
        """Return how many machines were ever made."""
        return len(self.simulator.machines)

    def wait(self, predicate: Callable[[], T], timeout: float = WAIT_LIMIT) -> T:
        """Return what ``predicate`` gives as soon as it is true; TimeoutError tells how the hosts stand."""
        return self.frontend.wait_for(predicate, timeout)

    def wait_ready(self, host_id: int, timeout: float = WAIT_LIMIT) -> Host:
        """Wait until a host is READY and has capacity."""

        def ready() -> Host | None:
            host = self.host(host_id)
            done = host.template.text("PROVISION_STATE") == "READY" and host.total_cpu > 0
            return host if done else None

        found = self.wait(ready, timeout)
        if found is None:  # wait() returns true values only
            raise AssertionError("wait() returned None")
        return found

    def wait_empty(self, timeout: float = WAIT_LIMIT) -> None:
        """Wait until the provider has no machine, and the agent nothing more to give back."""
        departures = self.location.state / "departures"
        self.wait(lambda: not self.alive() and not list(departures.glob("*.json")), timeout)

    def log(self) -> str:
        """Return the agent's log."""
        return self.location.log.read_text() if self.location.log.exists() else ""

    # --- the agent's process ------------------------------------------------------------------------------------

    def agent_pid(self) -> int | None:
        """Return the process id of the agent, None when there is none."""
        try:
            pid = int((self.location.state / "agent.lock").read_text() or 0)
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return None
        return pid if b"hybrid_drivers.agent.daemon" in command else None

    def kill_agent(self) -> None:
        """End the agent as ``kill -9`` does, and wait until it is gone."""
        pid = self.agent_pid()
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            self._gone(pid)

    def end_agent(self) -> None:
        """End the agent in good order."""
        pid = self.agent_pid()
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            self._gone(pid)

    def silence(self) -> None:
        """Let monitord find that no host has been heard of for long: START_MONITOR comes for all of them now.

        An answer that is on its way is waited for: monitord would not ask again before it has come.
        """
        self.wait(lambda: not self.frontend.asking())
        interval = self.frontend.knobs.monitoring_interval
        self.frontend.set_knobs({"monitoring_interval": 0.0})
        self.frontend.tick()
        self.frontend.set_knobs({"monitoring_interval": interval})

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run one of our programs as a person on the front-end would."""
        environment = {**self.frontend.environment, "LANG": "C.UTF-8"}
        return subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False
        )

    def _gone(self, pid: int) -> None:
        until = time.monotonic() + STOP_LIMIT
        while time.monotonic() < until:
            if self.agent_pid() != pid:
                return
            time.sleep(0.02)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _simulator(options: LabOptions, machines: Machines) -> PacketSimulator | Ec2Simulator:
    if options.provider == "ec2":
        return Ec2Simulator(machines, options.knobs, secret_access_key=options.secret or SECRET_ACCESS_KEY)
    return PacketSimulator(machines, options.knobs, token=options.secret or TOKEN)
