"""Playbooks of Ansible's: found and checked beforehand, run with ``ansible-playbook`` for one host.

They get what OneProvision gave them (``lib/provision/ansible.rb``, ``share/oneprovision/ansible/ansible.cfg.erb`` of
OpenNebula 5.12 and 6.10): the inventory groups ``nodes`` and ``targets``, the host's configuration as its
``host_vars``, everything run as root, roles also from the shared folder and from ``ansible-galaxy``'s; and, as in
5.12, the ``group_vars`` of a folder ``inventories/NAME`` beside a playbook ``NAME.yml``. A name without ``.yml`` gets
it, and a relative one is below the shared folder. Unlike there, the host's key is checked, whatever variables say, and
the run is limited to this host (and what its tasks do on the front-end or delegate).
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.hostconfig.ansible_process import SSH_VARIABLES, Call, Given, one_of_few, run_ansible, workspace
from hybrid_drivers.hostconfig.ansible_report import EventReader
from hybrid_drivers.hostconfig.playbooks import SUFFIXES
from hybrid_drivers.hostconfig.report import RunReport, StepReport
from hybrid_drivers.hostconfig.runner import Session

PROGRAM = "ansible-playbook"
_PLAY = {"hosts", "import_playbook", "ansible.builtin.import_playbook", "include"}  # each play has one of them


@dataclass(frozen=True, kw_only=True)
class AnsiblePlaybook:
    """A playbook that is there and has plays. ``variables`` are the host's configuration as it was given."""

    path: Path
    program: Path
    shared: Path
    variables: Mapping[str, object] = field(repr=False)

    def run(
        self, session: Session, on_step: Callable[[StepReport], None], *, check_only: bool = False, timeout: float
    ) -> RunReport:
        """Run it on the host of ``session``, over a connection of Ansible's own; ``on_step`` is called in this thread.

        Raises:
            StepFailed: a task failed (and was not rescued); those after it were not run.
            HostUnreachable: the connection broke.
            ConfigError: Ansible refuses the playbook (a mistake in it, a role that is not there).
            HostError: it did not end within ``timeout`` seconds, or could not be run.
        """
        began = time.monotonic()
        reader = EventReader(session.host, self.path.name, on_step, check_only)
        given = Given(
            target=session.target, host_key=session.host_key, variables=self.variables, roles=self._role_folders()
        )
        with one_of_few(session.host, timeout), workspace(given) as folder:
            call = Call(self.program, self._arguments(folder, session.host, check_only), folder, session.host)
            code, errors = run_ansible(call, reader.feed, timeout=timeout - (time.monotonic() - began))
        return reader.result(code, errors, time.monotonic() - began)

    def _role_folders(self) -> tuple[str, ...]:
        """Return where roles are looked for, besides the folder ``roles`` beside the playbook."""
        own = ("~/.ansible/roles", "/usr/share/ansible/roles", "/etc/ansible/roles")  # Ansible's DEFAULT_ROLES_PATH
        return (str(self.shared / "roles"), *own)

    def _arguments(self, folder: Path, host: str, check_only: bool) -> tuple[str, ...]:
        beside = self.path.parent / "inventories" / self.path.stem
        inventories = [str(folder / "inventory"), *([str(beside)] if beside.is_dir() else [])]
        options = [word for one in inventories for word in ("-i", one)]
        # The inventory beside the playbook may name other hosts, and variables may ask for another way to log in.
        ours = ("--limit", f"{host},localhost", "-e", f"@{folder / SSH_VARIABLES}")
        return (*options, *ours, *(["--check"] if check_only else []), str(self.path))


def shared_folder(env: Mapping[str, str]) -> Path:
    """Return where relative playbooks and shared roles are: OneProvision's folder."""
    top = env.get("ONE_LOCATION")
    return Path(top) / "share/oneprovision/ansible" if top else Path("/usr/share/one/oneprovision/ansible")


def find(name: str, variables: Mapping[str, object], env: Mapping[str, str] | None = None) -> AnsiblePlaybook:
    """Find a playbook by its path and check what can be checked without a host.

    Raises:
        ConfigError: Ansible is not installed, there is no such file, or it is no list of plays.
    """
    shared = shared_folder(os.environ if env is None else env)
    path = shared / (name if name.endswith(SUFFIXES) else f"{name}.yml")
    _check(path, name)
    return AnsiblePlaybook(path=path, program=_program(name), shared=shared, variables=dict(variables))


def _program(name: str) -> Path:
    beside = Path(sys.executable).with_name(PROGRAM)
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which(PROGRAM)
    if not found:
        raise ConfigError(
            f"playbook '{name}' needs Ansible, which is not installed: install your system's package ansible-core, or "
            f"run {sys.executable} -m pip install 'opennebula-hybrid-drivers[ansible]'"
        )
    return Path(found)


def _check(path: Path, name: str) -> None:
    try:
        plays = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # nosec B506 # noqa: S506 - a SafeLoader
    except OSError as exc:
        raise ConfigError(f"playbook '{name}': {path} cannot be read ({exc.strerror})") from exc
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        mark = getattr(exc, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise ConfigError(f"playbook '{name}': {path} is not YAML{where}") from exc
    if not isinstance(plays, list) or not plays:
        raise ConfigError(f"playbook '{name}': {path} is not a list of plays")
    for number, play in enumerate(plays, 1):
        if not isinstance(play, dict) or not _PLAY & play.keys():
            raise ConfigError(f"playbook '{name}': entry {number} of {path} is no play: it has no 'hosts'")


class _Loader(yaml.SafeLoader):
    """Takes Ansible's own tags (``!vault``, ``!unsafe``) for whatever they are."""


_Loader.add_multi_constructor("!", lambda loader, suffix, node: None)
