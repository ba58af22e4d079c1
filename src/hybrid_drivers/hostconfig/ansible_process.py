"""One run of ``ansible-playbook``: its private folder, its environment, its time limit and its end."""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from hybrid_drivers.errors import HostError
from hybrid_drivers.hostconfig.process_tree import end_tree
from hybrid_drivers.hostconfig.runner import SshTarget

SSH_VARIABLES = "ssh.json"  # extra variables, which win over all others: how ssh is called
_PREFIX = "hybrid-ansible-"
_NEW = 60.0  # seconds in which a folder may not be locked yet by who makes it
_GRACE = 10.0  # seconds between the TERM and the KILL
_TURN = 0.2  # seconds within which the end of the process is seen, when its last fork still holds the pipe
_SHARED_CONNECTION = "-C -o ControlMaster=auto -o ControlPersist=60s"  # Ansible's default
_LONGEST_FOLDER = 70  # characters: a socket's path has at most 107, and Ansible adds 14, ssh 17 to this
_MOST = max(2, 2 * (os.cpu_count() or 1))  # runs at once: each takes some 100 MB and much CPU of the front-end
_running = threading.BoundedSemaphore(_MOST)
_ENVIRONMENT = (
    *("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TZ", "ONE_LOCATION"),
    *("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
)
_CONFIGURATION = """\
[defaults]
retry_files_enabled = False
deprecation_warnings = False
display_skipped_hosts = False
stdout_callback = opennebula_hybrid
callback_plugins = {callbacks}
roles_path = {roles}
local_tmp = {folder}/tmp
interpreter_python = auto_silent
nocows = True

[privilege_escalation]
become = {become}
become_user = root
become_method = sudo

[sudo_become_plugin]
flags = -H -S -n

[ssh_connection]
pipelining = True
control_path_dir = {folder}/cp
ssh_args = {ssh}
ssh_common_args = {options}
"""


@dataclass(frozen=True)
class Call:
    """What to run, in which folder, and the host's name for messages."""

    program: Path
    arguments: tuple[str, ...]
    folder: Path
    host: str


@dataclass(frozen=True, kw_only=True)
class Given:
    """What one host is given: how to reach it, the one key it may show, its variables, where roles are."""

    target: SshTarget
    host_key: str
    variables: Mapping[str, object] = field(repr=False)
    roles: tuple[str, ...]


@contextmanager
def one_of_few(host: str, timeout: float) -> Iterator[None]:
    """Wait until few enough runs go on.

    Raises:
        HostError: that took longer than ``timeout`` seconds.
    """
    if not _running.acquire(timeout=max(0.0, timeout)):
        raise HostError(f"{host}: other hosts' Ansible playbooks took all of {timeout:.0f} s ({_MOST} run at once)")
    try:
        yield
    finally:
        _running.release()


@contextmanager
def workspace(given: Given) -> Iterator[Path]:
    """Make the folder one run needs, for us alone; it is removed afterwards, with what earlier runs left behind.

    It holds the inventory, the host's variables, the configuration and the one accepted host key; not the private key.

    Raises:
        HostError: it cannot be made (a full disk).
    """
    _sweep()
    with ExitStack() as undo:
        try:
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
            undo.callback(shutil.rmtree, folder, ignore_errors=True)
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            undo.callback(os.close, lock)
            fcntl.flock(lock, fcntl.LOCK_EX)
            _fill(folder, given)
        except OSError as exc:
            where = exc.filename or tempfile.gettempdir()
            raise HostError(
                f"{given.target.address}: Ansible's files cannot be written on the front-end: {where}: {exc.strerror}"
            ) from exc
        undo.callback(end_connections, folder)
        yield folder


def run_ansible(call: Call, on_events: Callable[[bytes], None], *, timeout: float) -> tuple[int, str]:
    """Run it to its end; return its exit code and what it printed as errors.

    Raises:
        HostError: it cannot be started, or did not end within ``timeout`` seconds.
    """
    end = time.monotonic() + timeout
    errors = call.folder / "stderr"
    read, write = os.pipe()
    try:
        process = _start(call, errors, write)
    except OSError as exc:
        os.close(read)
        raise HostError(f"{call.host}: {call.program} cannot be started ({exc.strerror})") from exc
    finally:
        os.close(write)
    try:
        _pass_on(process, read, on_events, end)
        code = process.wait(max(0.0, end - time.monotonic()))
    except (TimeoutError, subprocess.TimeoutExpired) as exc:
        raise HostError(
            f"{call.host}: no end of '{call.program.name} {call.arguments[-1]}' within {timeout:.0f} s"
        ) from exc
    finally:
        os.close(read)
        end_tree(process, grace=_GRACE)
    return code, errors.read_text(errors="replace")


def _start(call: Call, errors: Path, events: int) -> subprocess.Popen[bytes]:
    with errors.open("wb") as stderr:
        return subprocess.Popen(
            [str(call.program), *call.arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            cwd=call.folder,
            env=_environment(os.environ, call.folder, events),
            pass_fds=(events,),
            start_new_session=True,
        )


def _pass_on(process: subprocess.Popen[bytes], read: int, on_events: Callable[[bytes], None], end: float) -> None:
    poll = select.poll()
    poll.register(read, select.POLLIN)
    while True:
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        ended = process.poll() is not None
        if poll.poll(1000 * min(_TURN, left)):
            data = os.read(read, 1 << 16)
            if not data:
                return
            on_events(data)
        elif ended:
            return


def _environment(env: Mapping[str, str], folder: Path, events: int) -> dict[str, str]:
    """Nothing of ours but what is named here: above all no ``ANSIBLE_*``, which would win over ``ansible.cfg``."""
    return {
        **{name: env[name] for name in _ENVIRONMENT if name in env},
        "LC_ALL": "C.UTF-8",  # Ansible refuses to run without UTF-8
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
        "OPENNEBULA_HYBRID_EVENTS": str(events),
    }


def _fill(folder: Path, given: Given) -> None:
    host = given.target.address
    for name in ("tmp", "cp", "host_vars"):
        (folder / name).mkdir(mode=0o700)
    (folder / "inventory").write_text(f"[nodes]\n{host}\n\n[targets]\n{host}\n")
    variables = {**given.variables, **_connection(given.target)}
    (folder / SSH_VARIABLES).write_text(json.dumps(_ssh_variables(folder, given)))
    (folder / "host_vars" / f"{host}.yml").write_text(yaml.safe_dump(variables, allow_unicode=True))
    (folder / "known_hosts").write_text(f"{host} {given.host_key}\n")
    (folder / "ansible.cfg").write_text(_configuration(folder, given))


def _connection(target: SshTarget) -> dict[str, object]:
    return {
        "ansible_connection": "ssh",
        "ansible_host": target.address,
        "ansible_port": target.port,
        "ansible_user": target.user,
        "ansible_ssh_private_key_file": str(target.private_key),
    }


def _ssh_variables(folder: Path, given: Given) -> dict[str, object]:
    """Return how ssh is called, with the pinned key, as variables of Ansible's connection plugin ``ssh``."""
    return {
        "ansible_ssh_executable": "ssh",
        "ansible_ssh_common_args": _ssh_options(folder, given),
        "ansible_ssh_args": _shared_connection(folder),
        "ansible_ssh_extra_args": "",
        "ansible_host_key_checking": True,
        "ansible_ssh_host_key_checking": True,
    }


def _shared_connection(folder: Path) -> str:
    return _SHARED_CONNECTION if len(str(folder)) <= _LONGEST_FOLDER else "-C"


def _ssh_options(folder: Path, given: Given) -> str:
    options = {
        "UserKnownHostsFile": folder / "known_hosts",
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "HostKeyAlias": given.target.address,  # else the port would have to be in known_hosts too
        "UpdateHostKeys": "no",
        "IdentitiesOnly": "yes",
        "ServerAliveInterval": "15",
    }
    return " ".join(["-F /dev/null", *(f"-o {name}={value}" for name, value in options.items())])


def _configuration(folder: Path, given: Given) -> str:
    text = _CONFIGURATION.format(
        callbacks=Path(__file__).with_name("ansible_callback"),
        roles=":".join(given.roles),
        folder=folder,
        ssh=_shared_connection(folder),
        become=given.target.user != "root",
        options=_ssh_options(folder, given),
    )
    return text.replace("%", "%%")  # Ansible's configparser expands them


def end_connections(folder: Path) -> None:
    """Ask the ssh processes that keep connections open for the next task to end now."""
    for socket in (folder / "cp").glob("*"):
        command = ["ssh", "-F", "/dev/null", "-O", "exit", "-o", f"ControlPath={socket}", "host"]
        with suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=5, check=False)


def _sweep() -> None:
    """Remove the folders of runs that were killed: those nobody holds the lock of."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if folder.lstat().st_uid != os.getuid() or time.time() - folder.lstat().st_mtime < _NEW:
                continue
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)
