"""``oneprovision list`` with many provisions: how many calls of oned does it make, and how long does it take?

    .venv/bin/python bench/provision_list.py [--sizes 1,10,100,1000] [--hosts 5] [--runs 3] [--slow 0]

Each provision has a document, a cluster, hosts, a network and two datastores, put into the stand-in's pools; no driver
runs for them. The real executable is run, the calls are counted where the stand-in receives them.

Measured in turns in one run against the other way to know what is in provisions: the pool of documents, then the body
of each, decrypted by ``document.info`` (OpenNebula 6.10 ``oneprovision_helper.rb`` ``list_objects`` and
``provision_pool.rb``, which asks twice for each; here it is once). The same client, the same table (bench/provisions).

Printed: calls and wall seconds of both (the fastest of the runs), how much CPU time the stand-in took to answer ours,
and the ratio. The stand-in answers a small call in 0.3 ms, over loopback: ``--slow`` adds seconds to each call.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from unittest import mock

from hybrid_drivers.provision import tags
from hybrid_drivers.provision.record import Event, Record, Slot, Stage, State
from hybrid_drivers.provision.store import DOCUMENT_TYPE, SUMMARY
from hybrid_drivers.sandbox.frontend import Frontend
from hybrid_drivers.sandbox.frontend.attributes import Attributes
from hybrid_drivers.sandbox.frontend.calls import Calls, Reply
from hybrid_drivers.sandbox.frontend.datastore_objects import DatastoreObject
from hybrid_drivers.sandbox.frontend.objects import DocumentObject
from hybrid_drivers.sandbox.frontend.store import Store
from hybrid_drivers.sandbox.frontend.vnet_objects import VnetObject, VnetState

MOST_CALLS = 5  # what one list may ask, however many provisions there are
OTHER_WAY = Path(__file__).parent / "provisions/one_by_one.py"
TEMPLATE = (
    "hosts:\n" + "  - {im_mad: kvm, vm_mad: kvm, provision: {plan: c3.small.x86, os: debian_12, metro: am}}\n" * 20
)


# --- the provisions ---------------------------------------------------------------------------------------------------


def fill(store: Store, provisions: int, hosts: int) -> None:
    """Put provisions into the pools."""
    for number in range(len(store.documents), provisions):
        record = _record(f"edge-{number}", hosts)
        made = store.documents.put(DocumentObject(id=-1, name=record.name, type=DOCUMENT_TYPE))
        record.id = made.id
        cluster = store.add_cluster(record.name)
        cluster.template.set(tags.ATTRIBUTE, tags.of_slot(record, record.slots[0]))
        record.put(replace(record.slots[0], id=cluster.id))
        for slot in record.slots[1:]:
            record.put(replace(slot, id=_object(store, record, slot, cluster.id)))
        made.template.set("PROVISION_BODY", record.body())
        made.template.set(SUMMARY, record.summary())


def _record(name: str, hosts: int) -> Record:
    counts = (("clusters", 1), ("datastores", 2), ("networks", 1), ("hosts", hosts))
    slots = [
        Slot(kind=kind, index=index, spec=index, name=f"{name}-{kind}-{index}", stage=Stage.MADE)
        for kind, count in counts
        for index in range(count)
    ]
    events = [Event(time=1.7e9 + at, who="oneadmin@front-end", text=f"host edge-{at}: READY") for at in range(30)]
    return Record(
        name=name,
        template=TEMPLATE,
        provider="packet-ams",
        state=State.RUNNING,
        started=1.7e9,
        slots=slots,
        events=events,
    )


def _object(store: Store, record: Record, slot: Slot, cluster_id: int) -> int:
    tag = tags.of_slot(record, slot)
    if slot.kind == "hosts":
        host = store.add_host(slot.name, "provision", "kvm", cluster_id)
        rented = {"PROVIDER": "packet-ams", "PLAN": "c3.small.x86", "DEPLOY_ID": f"machine-{host.id}", **tag}
        host.template.merge([(tags.ATTRIBUTE, rented), ("PROVISION_STATE", "READY"), ("PROVISION_ADDRESS", "10.0.0.1")])
        return host.id
    template = Attributes([(tags.ATTRIBUTE, tag)])
    if slot.kind == "networks":
        vnet = VnetObject(id=-1, name=slot.name, template=template, vn_mad="bridge", state=VnetState.READY)
        vnet.clusters.add(cluster_id)
        return store.vnets.put(vnet).id
    datastore = DatastoreObject(id=-1, name=slot.name, template=template, ds_mad="fs", tm_mad="ssh")
    datastore.clusters.add(cluster_id)
    return store.datastores.put(datastore).id


# --- the measurement --------------------------------------------------------------------------------------------------


@dataclass
class Asked:
    """What the stand-in was asked, and how many seconds of CPU time it took."""

    calls: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


@contextmanager
def counted() -> Iterator[Asked]:
    """Count the calls that reach the stand-in."""
    asked, real, lock = Asked(), Calls.call, threading.Lock()

    def call(self: Calls, name: str, arguments: tuple[object, ...]) -> Reply:
        began = time.thread_time()
        try:
            return real(self, name, arguments)
        finally:
            with lock:
                asked.calls[name] += 1
                asked.seconds += time.thread_time() - began

    with mock.patch.object(Calls, "call", call):
        yield asked


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a command."""

    wall: float
    calls: int
    answering: float
    printed: str


def run(command: Sequence[str], front_end: Frontend) -> Run:
    """Run a command on the front-end; it must succeed."""
    with counted() as asked:
        began = time.perf_counter()
        done = subprocess.run(
            command, env={**front_end.environment, "LC_ALL": "C.UTF-8"}, capture_output=True, text=True, check=False
        )
        wall = time.perf_counter() - began
    if done.returncode:
        sys.exit(f"{command[0]} failed: {done.stderr}")
    return Run(wall=wall, calls=asked.calls.total(), answering=asked.seconds, printed=done.stdout)


def measure(front_end: Frontend, runs: int) -> tuple[Run, Run]:
    """Return the fastest run of each way, run in turns."""
    program = Path(sys.executable).with_name("oneprovision")
    commands = ([str(program), "list", "--no-header"], [sys.executable, str(OTHER_WAY)])
    found = [[run(command, front_end) for command in commands] for _ in range(runs)]
    ours, theirs = (min((pair[at] for pair in found), key=lambda one: one.wall) for at in (0, 1))
    if [line.split() for line in ours.printed.splitlines()] != [line.split() for line in theirs.printed.splitlines()]:
        sys.exit("the two ways do not print the same")
    return ours, theirs


def main() -> None:
    """Print a line for each size, and whether the goals are kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1,10,100,1000")
    parser.add_argument("--hosts", type=int, default=5, help="of each provision")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--slow", type=float, default=0.0, metavar="SECONDS", help="added to each call of oned")
    options = parser.parse_args()
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; {options.hosts} hosts a provision")
    print("provisions  hosts | calls   wall s  (stand-in) | one by one: calls   wall s |  ratio")
    calls = set()
    with tempfile.TemporaryDirectory() as folder, Frontend(Path(folder), repository=None) as front_end:
        front_end.set_knobs({"slow": options.slow})
        for size in map(int, options.sizes.split(",")):
            fill(front_end.store, size, options.hosts)
            ours, theirs = measure(front_end, options.runs)
            calls.add(ours.calls)
            print(
                f"{size:10d} {size * options.hosts:6d} | {ours.calls:5d} {ours.wall:8.2f} {ours.answering:11.2f} | "
                f"{theirs.calls:17d} {theirs.wall:8.2f} | {theirs.wall / ours.wall:6.1f}",
                flush=True,
            )
    kept = len(calls) == 1 and max(calls) <= MOST_CALLS
    print(f"goal {MOST_CALLS} calls whatever the size: {'kept' if kept else 'MISSED'}")


if __name__ == "__main__":
    main()
