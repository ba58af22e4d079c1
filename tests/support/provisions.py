"""Provisions on the sandbox: templates, runs of the engine, and a front-end without any driver for unit tests."""

from __future__ import annotations

import itertools
import os
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from hybrid_drivers.clock import Clock, SystemClock
from hybrid_drivers.config import Location
from hybrid_drivers.model import Template
from hybrid_drivers.provision.failures import Failures
from hybrid_drivers.provision.lock import ATTRIBUTE, Lock
from hybrid_drivers.provision.progress import HostView
from hybrid_drivers.provision.record import Record, Wishes
from hybrid_drivers.provision.runs import Order, begin
from hybrid_drivers.provision.site import Site
from hybrid_drivers.provision.template.load import parse_template
from hybrid_drivers.sandbox.frontend import Frontend

SMALL = """
name: small
playbook: dummy
defaults:
  provision: {provider: packet-ams, plan: c3.small.x86, os: debian_12, metro: am}
cluster: {name: small}
datastores:
  - {name: small-images, type: IMAGE_DS, ds_mad: fs, tm_mad: ssh}
  - {name: small-system, type: SYSTEM_DS, tm_mad: ssh}
networks:
  - name: small-net
    vn_mad: bridge
    bridge: br0
    ar: [{ip: 192.168.150.2, size: 15, type: IP4}]
hosts:
  - {im_mad: kvm, vm_mad: kvm, provision: {hostname: "edge-${index}", count: 2}}
images:
  - {name: small-image, ds_id: "${datastore.0.id}", path: /var/tmp/image.qcow2}
templates:
  - {name: small-vm, cpu: 1, memory: 128, disk: {image_id: "${image.0.id}"}}
vntemplates:
  - {name: small-vnt, vn_mad: bridge, bridge: br0, ar: [{ip: 10.0.0.2, size: 5, type: IP4}]}
"""


@dataclass
class Heard:
    """Somebody who writes down what is told."""

    lines: list[str] = field(default_factory=list)
    views: list[Sequence[HostView]] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.lines.append(text)

    def passing(self, text: str) -> None:
        self.lines.append(text)

    def hosts(self, views: Sequence[HostView]) -> None:
        self.views.append(views)

    def text(self) -> str:
        return "\n".join(self.lines)


def order(text: str = SMALL, *, inputs: Mapping[str, str] | None = None, **wishes: object) -> Order:
    """Return the order of a template given as text."""
    template = parse_template(textwrap.dedent(text), "test.yaml")
    wanted = Wishes(**wishes)  # type: ignore[arg-type] # tests name its fields
    return Order(template=template, name=template.name, inputs=inputs or {}, wishes=wanted, providers="packet-ams")


def begun(site: Site, text: str = SMALL) -> Record:
    """Write a new provision."""
    return begin(site, order(text))


@contextmanager
def site_of(front_end: Frontend, clock: Clock | None = None) -> Iterator[Site]:
    """Yield the front-end as a tool on it sees it."""
    with mock.patch.dict(os.environ, front_end.environment):
        yield Site.of(Location.from_environment(front_end.environment), "tester@here", clock)


def quits() -> Failures:
    """Return what stops at the first failure."""
    return Failures()


def entry(front_end: Frontend, name: str = "packet-ams", driver: str = "dummy") -> Path:
    """Write a provider entry that needs no network."""
    folder = Location.from_environment(front_end.environment).etc / "providers.d"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{name}.yaml"
    path.touch(mode=0o600)
    path.write_text(f"driver: {driver}\n")
    return path


READY_DRIVER = """#!/bin/sh
# An information driver whose hosts are ready at once.
case "$1" in stop) exit 0 ;; esac
told=$(printf 'TOTALCPU="800"\\nTOTALMEMORY="16777216"\\nPROVISION_STATE="READY"\\nPROVISION_READY="1"\\n' | base64 -w0)
echo "<MONITOR_MESSAGES><SYSTEM_HOST>$told</SYSTEM_HOST></MONITOR_MESSAGES>"
"""


def hosts_are_ready(front_end: Frontend) -> None:
    """Give a front-end an information driver for which every host is ready at once."""
    path = front_end.location / "var/remotes/im/provision.d/monitord-client_control.sh"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(READY_DRIVER)
    path.chmod(0o755)


class HurriedClock(SystemClock):
    """Real time, in which nobody sleeps for long."""

    def sleep(self, seconds: float) -> None:
        super().sleep(min(seconds, 0.02))


class Killed(BaseException):
    """Stands for ``kill -9``: nothing of the tool runs after it."""


@contextmanager
def killed_at(site: Site, write: int, *, before: bool) -> Iterator[None]:
    """Kill the tool before or after its ``write``-th change in oned (from 0); the lock stays, as after a kill."""
    seen = itertools.count()
    real = site.oned.write

    def counted(method: str, what: str, *args: object) -> int:
        now = next(seen) if method != "document.update" or "PROVISION_LOCK" not in str(args) else -1
        if now == write and before:
            raise Killed
        answer = real(method, what, *args)
        if now == write:
            raise Killed
        return answer

    stays = mock.patch.object(Lock, "__exit__", return_value=None)
    with mock.patch.object(site.oned, "write", counted), stays, suppress(Killed):
        yield
    free(site)


def free(site: Site) -> None:
    """Take all locks away, as the end of their processes does."""
    for known in site.store.known():
        site.oned.update_document(known.id, None, Template([(ATTRIBUTE, {"TOKEN": "-"})]))
