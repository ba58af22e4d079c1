"""One real machine: its disk (an overlay on the shared image), its process, its power switch."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path

from hybrid_drivers.errors import SandboxError
from hybrid_drivers.sandbox.machines import cgroups, leftovers
from hybrid_drivers.sandbox.machines.commands import run
from hybrid_drivers.sandbox.machines.netconfig import network_files
from hybrid_drivers.sandbox.machines.network import YardNetwork
from hybrid_drivers.sandbox.machines.seed import write_seed
from hybrid_drivers.sandbox.machines.suites import Suite

POWER_OFF_LIMIT = 15.0  # seconds for an orderly shutdown; half a second is usual
_DEAF, _DEAF_LIMIT = 3.0, 1.0  # in its first seconds a machine may not hear that it shall stop: then it waits no longer
_LAUNCHER = Path(__file__).with_name("launcher.sh")


class RealMachine:
    """A machine whose addresses end in ``low``; thread-safe.

    The first power-on makes its disk in ``folder`` from ``image``, which is of ``suite``, and applies ``user_data``;
    later ones find it as it was. ``resolver`` is the text of its resolv.conf.
    """

    def __init__(
        self,
        network: YardNetwork,
        low: int,
        folder: Path,
        *,
        suite: Suite,
        image: Path,
        hostname: str,
        user_data: str,
        resolver: str,
    ) -> None:
        self.low = low
        self.root = folder / "merged"
        self.name = network.machine_namespace(low)
        self._network, self._folder, self._suite, self._image = network, folder, suite, image
        self._hostname, self._user_data, self._resolver = hostname, user_data, resolver
        self._lock = threading.RLock()
        self._launcher: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._retired = False
        self._disk_mib = 0

    def running(self) -> bool:
        """Tell whether its launcher runs; a machine that powered itself off is not running."""
        launcher = self._launcher
        return launcher is not None and launcher.poll() is None

    def console(self) -> str:
        """Return what it wrote on its console so far."""
        path = self._folder / "console.log"
        return path.read_text(errors="replace") if path.is_file() else ""

    def limit_disk(self, mib: int) -> None:
        """Give it a disk that holds so much; one that is there takes the new size at once, full or not."""
        with self._lock:
            self._disk_mib = mib
            if self._folder.is_mount():
                run(["mount", "-o", f"remount,size={mib}m", str(self._folder)])

    def cut_power(self) -> None:
        """Stop it as a power failure does."""
        self.power_off(0.0)

    def power_on(self) -> None:
        """Start it and return when its launcher runs; on already is fine."""
        with self._lock:
            if self._retired:
                raise SandboxError(f"sandbox machine {self._hostname} was destroyed")
            if self.running():
                return
            if not self._folder.is_dir():
                self._make_disk()
            self._network.write_batches(self.low, self._folder)
            with (self._folder / "console.log").open("ab") as console:
                self._launcher = subprocess.Popen(
                    self._command(),
                    stdin=subprocess.PIPE,
                    stdout=console,
                    stderr=console,
                    start_new_session=True,  # an interrupt at the keyboard is ours to handle
                    env={**os.environ, "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network", "LC_ALL": "C"},
                )
            # Its own control groups first: without them all machines would share one. Then it may go on.
            assert self._launcher.stdin is not None  # opened as a pipe above
            with self._launcher.stdin as go:
                cgroups.enter(self.name, self._launcher.pid)
                go.write(b"\n")
            self._started = time.monotonic()

    def power_off(self, limit: float = POWER_OFF_LIMIT) -> None:
        """Stop it in good order, by force after ``limit`` seconds (0: at once); off already is fine."""
        with self._lock:
            if self._launcher is None:
                return
            if limit and self.running():
                self._launcher.terminate()  # the launcher hands it on; systemd-nspawn then asks PID 1 to halt
                deaf = time.monotonic() - self._started < _DEAF
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._launcher.wait(min(limit, _DEAF_LIMIT) if deaf else limit)
            cgroups.kill(self.name)
            self._launcher.wait()
            self._launcher = None
            cgroups.remove(self.name)
            self._network.unplug(self.low)

    def reboot(self) -> None:
        """Stop it and start it."""
        with self._lock:
            self.power_off()
            self.power_on()

    def destroy(self) -> None:
        """Stop it by force and remove everything of it."""
        with self._lock:
            self._retired = True
            self.power_off(0.0)
            leftovers.unmount_below(self._folder)
            leftovers.remove_namespace(self.name)
            shutil.rmtree(self._folder, ignore_errors=True)

    def retire(self) -> None:
        """Refuse to start from now on; whoever closes the yard calls it before."""
        with self._lock:
            self._retired = True

    def reap(self) -> None:
        """Take note that somebody else ended its processes."""
        with self._lock:
            if self._launcher:
                self._launcher.wait()

    def _make_disk(self) -> None:
        if self._disk_mib:
            self._folder.mkdir(parents=True)
            run(["mount", "-t", "tmpfs", "-o", f"size={self._disk_mib}m,mode=755", "disk", str(self._folder)])
        for name in ("upper", "work", "merged"):
            (self._folder / name).mkdir(parents=True)
        layers = f"lowerdir={self._image},upperdir={self._folder / 'upper'},workdir={self._folder / 'work'}"
        run(["mount", "-t", "overlay", "overlay", "-o", layers, str(self.root)])
        here = self._network.addresses(self.low)
        write_seed(
            self.root,
            name=self._hostname,
            public_v4=here.public_v4,
            network=network_files(self._suite, here, self._resolver),
            user_data=self._user_data,
        )

    def _command(self) -> list[str]:
        """Return the command line; each option was found necessary for a machine that a hypervisor can be put on.

        ``--register=no --keep-unit``: no machined here. All capabilities, ``@keyring`` and ``bpf``: containers and
        libvirt inside. ``SYSTEMD_NSPAWN_API_VFS_WRITABLE=network`` (environment): ``net.*`` settings work inside.
        """
        return [
            *("/bin/sh", str(_LAUNCHER), self.name, self._network.namespace, str(self._folder)),
            *("systemd-nspawn", "-q", "-D", str(self.root), "--boot", "--register=no", "--keep-unit"),
            *(f"--network-namespace-path=/run/netns/{self.name}", "-M", self.name),
            f"--hostname={self._hostname.partition('.')[0]}",
            *("--capability=all", "--system-call-filter=@keyring bpf", "--resolv-conf=off", "--timezone=off"),
            *("--link-journal=no", *(["--bind=/dev/net/tun"] if Path("/dev/net/tun").exists() else [])),
        ]
