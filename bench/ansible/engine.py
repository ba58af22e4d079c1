"""The other engine of bench/hostconfig.py: ``default.yml`` here, run by ansible-core on all hosts at once."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hybrid_drivers.hostconfig import ansible_process
from hybrid_drivers.hostconfig.ansible_process import Call, end_connections, run_ansible
from hybrid_drivers.hostconfig.nodepackages import DEBIAN_KVM
from hybrid_drivers.hostconfig.runner import Session, SshTarget
from hybrid_drivers.hostconfig.script import Script

HERE = Path(__file__).parent
# What ours decide on the host, as they do on these machines: sshd on port 22, a bridge that leads nowhere.
_DECIDED = {"@SSH_PORTS@": "22", "@NAT@": 'ip saddr 192.168.150.0/24 oifname != "br0" masquerade'}
_FILES = {  # name of our step -> the file it writes, where the name does not say it
    "set firewall and NAT": "/etc/opennebula-hybrid/firewall.nft",
}
# Ours keep notes of what they decided and of what the kernel made of the rules; without them they do it again.
_NOTES = """
mkdir -p /etc/opennebula-hybrid/network /var/lib/opennebula-hybrid
mac=$(sed -n 's/^MACAddress=//p' /etc/systemd/network/05-hybrid-br0.netdev)
printf 'port \\nsource eth1\\nmac %s\\naddress 192.168.150.1/24\\n' "$mac" >/etc/opennebula-hybrid/network/br0
cd /var/lib/opennebula-hybrid
{ nft -s list table inet opennebula_hybrid; nft -s list table ip opennebula_hybrid; } >firewall.live
chmod 600 firewall.live
"""
_CONFIGURATION = """\
[defaults]
inventory = {folder}/inventory
forks = {forks}
stdout_callback = opennebula_hybrid
callback_plugins = {callbacks}
local_tmp = {folder}/tmp
retry_files_enabled = False
interpreter_python = /usr/bin/python3
timeout = 60

[ssh_connection]
pipelining = True
control_path_dir = {folder}/cp
ssh_common_args = -F /dev/null -o UserKnownHostsFile={folder}/known_hosts -o IdentitiesOnly=yes
"""


@dataclass
class Outcome:
    """What one run told: tasks by outcome, and the seconds each task took on each host."""

    counts: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


def program() -> Path | None:
    """Return ansible-playbook, of this Python's environment or of the system."""
    beside = Path(sys.executable).with_name("ansible-playbook")
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("ansible-playbook")
    return Path(found) if found else None


def prepare(folder: Path, targets: Sequence[SshTarget], script: Script, keys: Sequence[str], forks: int) -> Call:
    """Write what a run needs: inventory, known_hosts, configuration, and the same file contents as ``script`` has."""
    found = program()
    assert found is not None
    for name in ("tmp", "cp"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    hosts = "\n".join(f"{t.address} ansible_user=root ansible_ssh_private_key_file={t.private_key}" for t in targets)
    (folder / "inventory").write_text(f"[nodes]\n{hosts}\n")
    (folder / "known_hosts").write_text("".join(f"{t.address} {key}\n" for t in targets for key in t.host_keys))
    callbacks = Path(ansible_process.__file__).with_name("ansible_callback")
    (folder / "ansible.cfg").write_text(_CONFIGURATION.format(folder=folder, forks=forks, callbacks=callbacks))
    given = {"packages": DEBIAN_KVM, "contents": contents(script), "oneadmin_keys": list(keys)}
    (folder / "vars.json").write_text(json.dumps(given))
    return Call(found, ("-e", f"@{folder}/vars.json", str(HERE / "default.yml")), folder, f"{len(targets)} hosts")


def contents(script: Script) -> Mapping[str, str]:
    """Return the files that ours put, by path."""
    found = {}
    for step in script.steps:
        path = _FILES.get(step.name) or step.name.removeprefix("write ")
        text = step.stdin
        for mark, value in _DECIDED.items():
            text = text.replace(mark, value)
        if path.startswith("/"):
            found[path] = text
    return found


def run(call: Call, *, timeout: float) -> Outcome:
    """Run the playbook; a failed task or an unreachable host is an error."""
    data = bytearray()
    try:
        code, errors = run_ansible(call, data.extend, timeout=timeout)
    finally:
        end_connections(call.folder)
    outcome, names, problems = Outcome(), {}, []
    for event in map(json.loads, data.splitlines()):
        if event["event"] == "start":
            names[event["task"]] = event["name"]
        elif event["event"] == "end":
            outcome.counts[event["status"]] += 1
            outcome.seconds[names[event["task"]]].append(event["seconds"])
            if event["status"] in ("failed", "unreachable"):
                problems.append(f"{names[event['task']]}: {' / '.join(event['text'])[-300:]}")
    if code != 0:
        raise RuntimeError(f"ansible-playbook ended with {code}: {(problems or [errors[-500:]])[0]}")
    return outcome


def take_notes(session: Session) -> None:
    """Write down what ours would have, so that their check looks at the state and at nothing else."""
    result = session.run(f"set -e\n{_NOTES}", timeout=60)
    if result.code != 0:
        raise RuntimeError(f"{session.host}: {result.stderr}")
