"""What a yard of real machines leaves on this computer while it lives, and how all of it goes away again.

Everything a yard makes carries its id in its name, and a record in the state folder says which process owns it (pid
and start time, so that a reused pid is not taken for the owner). So a yard whose owner was killed can be undone by
anybody, and nothing else is ever touched.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from os import getpid
from pathlib import Path

from hybrid_drivers.sandbox.machines import cgroups
from hybrid_drivers.sandbox.machines.commands import run
from hybrid_drivers.sandbox.machines.network import YardNetwork, free_number
from hybrid_drivers.sandbox.machines.settings import SharedSettings

STATE = Path("/run/onehybrid-sandbox")


@dataclass(frozen=True, kw_only=True)
class YardRecord:
    """One yard: its owner process, its network's number and its folder of disks."""

    yard_id: str
    pid: int
    started: str
    number: int
    nat: bool
    folder: str

    @property
    def network(self) -> YardNetwork:
        """The yard's network."""
        return YardNetwork(yard_id=self.yard_id, number=self.number, nat=self.nat)

    def alive(self) -> bool:
        """Tell whether the owner still runs."""
        return start_time(self.pid) == self.started


def start_time(pid: int) -> str:
    """Return when the process started, in clock ticks since boot (field 22 of ``stat``, proc(5)); empty when gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


@contextlib.contextmanager
def _locked(name: str = "lock") -> Iterator[SharedSettings]:
    STATE.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (STATE / name).open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield SharedSettings(STATE / "settings.json")


def records() -> list[YardRecord]:
    """Return the record of every yard, alive or not."""
    found = []
    for path in sorted(STATE.glob("yard-*.json")):
        with contextlib.suppress(FileNotFoundError):  # undone meanwhile
            found.append(YardRecord(**json.loads(path.read_text())))
    return found


def register(work_dir: Path, *, nat: bool, settings: Mapping[str, int]) -> YardRecord:
    """Open a yard: choose its id and network, write its record before anything is made, raise kernel settings."""
    with _locked() as shared:
        yard_id = secrets.token_hex(3)
        record = YardRecord(
            yard_id=yard_id,
            pid=getpid(),
            started=start_time(getpid()),
            number=free_number({one.number for one in records()}),
            nat=nat,
            folder=str((work_dir / f"onehyb-{yard_id}").resolve()),
        )
        path = STATE / f"yard-{yard_id}.json"
        path.with_suffix(".new").write_text(json.dumps(asdict(record)))
        path.with_suffix(".new").replace(path)
        shared.raise_for(yard_id, settings)
    return record


def unmount_below(folder: Path) -> None:
    """Unmount everything below ``folder``, innermost first."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split()[4].replace("\\040", " ") for line in lines]
    for point in reversed([point for point in points if Path(point).is_relative_to(folder)]):
        run(["umount", "-l", point])


def remove_namespace(name: str) -> None:
    """Delete a network namespace when it is there."""
    if Path(f"/run/netns/{name}").exists():
        run(["ip", "netns", "del", name])


def undo(record: YardRecord) -> None:
    """Remove all the yard made, however far that came: processes, mounts, disks, namespaces, table, settings."""
    network = record.network
    for name in cgroups.names(f"{network.namespace}-"):
        cgroups.kill(name)
        cgroups.remove(name)
    unmount_below(Path(record.folder))
    if Path(f"/sys/class/net/{network.outside_link}").exists():
        run(["ip", "link", "del", network.outside_link])  # a namespace takes its links along only some time later
    for path in sorted(Path("/run/netns").glob(f"{network.namespace}-*")):
        remove_namespace(path.name)
    remove_namespace(network.namespace)
    if f"table ip {network.table}\n" in run(["nft", "list", "tables"]):
        run(["nft", "delete", "table", "ip", network.table])
    with _locked() as shared:
        shared.release(record.yard_id)
        shutil.rmtree(record.folder, ignore_errors=True)
        (STATE / f"yard-{record.yard_id}.json").unlink(missing_ok=True)


def cleaning() -> contextlib.AbstractContextManager[object]:
    """Keep others from cleaning up meanwhile: two cleaners would trip over each other."""
    return _locked("cleaning")


def clean() -> list[str]:
    """Undo every yard whose owner is gone and return their ids."""
    with cleaning():
        dead = [record for record in records() if not record.alive()]
        for record in dead:
            undo(record)
    return [record.yard_id for record in dead]
