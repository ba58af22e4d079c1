"""Makes the self-contained tree (ONE_LOCATION) of a front-end: what OpenNebula's own packages would have put there."""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
from functools import cache
from pathlib import Path

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.sandbox.frontend.copies import copy_tree
from hybrid_drivers.sandbox.frontend.oned_conf import ONED_CONF

_NODE = Path(__file__).resolve().parent.parent / "node"
_TOP = Path(__file__).resolve().parents[4]
CHECKOUT = _TOP if (_TOP / "install.sh").exists() and (_TOP / "remotes").is_dir() else None
"""The repository this package is run from, None when it was installed without it."""
_INSTALL_LIMIT = 300  # seconds
_SECRET = ".one/one_auth"
_making = threading.Lock()

_MONITORD_CONF = """\
# monitord of the sandbox.
DATASTORE_LOCATION = "{location}/var/datastores"
DB  = [ CONNECTIONS = 15 ]
LOG = [
    SYSTEM      = "FILE",
    DEBUG_LEVEL = 3
]

# Where monitoring clients report to; "auto": the address their SSH connection came from
NETWORK = [
    ADDRESS         = "127.0.0.1",
    MONITOR_ADDRESS = "auto",
    PORT    = 4124,
    THREADS = 8,
    PUBKEY  = "",
    PRIKEY  = ""
]

# Seconds between the runs of each kind of probe
PROBES_PERIOD = [
    BEACON_HOST    = 30,
    SYSTEM_HOST    = 600,
    MONITOR_HOST   = 120,
    STATE_VM       = 5,
    MONITOR_VM     = 30,
    SYNC_STATE_VM  = 180,
    EXEC_VM        = 5
]
"""

_IM_MAD = """
IM_MAD = [
    NAME          = "{name}",
    SUNSTONE_NAME = "{shown}",
    EXECUTABLE    = "{executable}",
    ARGUMENTS     = "-r 3 -t 15 -w 90 {name}",
    THREADS       = 0
]
"""

VMM_EXECRC = """\
# Disk snapshots of running machines, by driver pair
LIVE_DISK_SNAPSHOTS="kvm-qcow2 kvm-ssh qemu-qcow2 qemu-ssh"

# Network driver actions that are run on the front-end: <driver>-<action>, separated by blanks
VNMAD_LOCAL_ACTIONS="elastic-post elastic-clean"
"""


def im_mad(name: str, shown: str, executable: str) -> str:
    """Return an IM_MAD as ``monitord.conf`` has it."""
    return _IM_MAD.format(name=name, shown=shown, executable=executable)


def monitord_conf(location: Path) -> str:
    """Return the ``monitord.conf`` before any installer has seen it."""
    stock = (("kvm", "KVM"), ("qemu", "QEMU"), ("lxc", "LXC"))
    ims = "".join(im_mad(name, shown, "one_im_ssh") for name, shown in stock)
    return _MONITORD_CONF.format(location=location) + ims + im_mad("dummy", "Dummy", "one_im_sh")


def build(location: Path, repository: Path | None) -> None:
    """Make the tree, or complete it; what is there already stays.

    With a ``repository`` its ``install.sh -d LOCATION -l`` puts our executables into it, linked, to be run by this
    interpreter's environment; a tree where nothing is yet is a copy of one that was made so. Without one the tree has
    an IM called ``provision`` and no executables.

    Raises:
        ConfigError: install.sh failed; the text has the last it said.
    """
    if repository and _is_new(location):
        copy_tree(_installed(repository), location)
        _put_secret(location)
    else:
        _make(location, repository)


def _is_new(location: Path) -> bool:
    """Tell whether nothing is there, and what comes there will be ours: install.sh looks at the owner of the place."""
    return not location.exists() or (not any(location.iterdir()) and location.stat().st_uid == os.geteuid())


def _installed(repository: Path) -> Path:
    """Return a tree with our executables and no secret, made at the first call and removed with the process."""
    with _making:
        return _installed_once(repository)


@cache
def _installed_once(repository: Path) -> Path:
    folder, owner = Path(tempfile.mkdtemp(prefix="onehybrid-tree-")), os.getpid()

    def remove() -> None:
        if os.getpid() == owner:  # a forked child ends; the tree is not its own
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    location = folder / "one"
    _make(location, repository)
    (location / _SECRET).unlink()
    return location


def _make(location: Path, repository: Path | None) -> None:
    for folder in ("etc/vmm_exec", "lib", "var/remotes/im", "var/datastores", "bin", ".one"):
        (location / folder).mkdir(parents=True, exist_ok=True)
    conf = monitord_conf(location) + ("" if repository else im_mad("provision", "Provision", "one_im_sh"))
    _put(location / "etc/monitord.conf", conf)
    _put(location / "etc/oned.conf", ONED_CONF)
    _put(location / "etc/vmm_exec/vmm_execrc", VMM_EXECRC)
    _put_secret(location)
    shutil.copytree(
        _NODE, location / "var/remotes", dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "__init__.py")
    )
    if repository:
        _install(location, repository)


def session(location: Path) -> str:
    """Return ``user:password`` of the tree's oneadmin."""
    return (location / _SECRET).read_text().strip()


def _put_secret(location: Path) -> None:
    _put(location / _SECRET, f"oneadmin:{secrets.token_hex(16)}\n", mode=0o600)


def _put(path: Path, text: str, mode: int = 0o644) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def _install(location: Path, repository: Path) -> None:
    command = ["sh", str(repository / "install.sh"), "-d", str(location), "-l", "--python", sys.executable]
    done = subprocess.run(
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=_INSTALL_LIMIT,
    )
    if done.returncode != 0:
        last = " / ".join(done.stdout.decode("utf-8", "replace").split("\n")[-6:]).strip(" /")
        raise ConfigError(f"install.sh -d {location} failed with exit code {done.returncode}: {last}")
