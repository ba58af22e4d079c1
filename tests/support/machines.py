"""Fixtures and small things for tests with sandbox machines: yards, user-data, SSH.

Import the fixtures you need: ``from tests.support.machines import nspawn_yard  # noqa: F401``.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from hybrid_drivers.sandbox.machines import make_machines
from hybrid_drivers.sandbox.machines.light import LightMachines
from hybrid_drivers.sandbox.machines.nspawn import NspawnMachines, why_not
from hybrid_drivers.sandbox.machines.seed import new_host_key
from hybrid_drivers.sandbox.machines.sources import MirrorUnreachable
from hybrid_drivers.sandbox.machines.suites import DEFAULT


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Keys of one test: ``private_key`` is the file to log in with, ``user_data`` brings the rest to the machine."""

    private_key: Path
    host_key: str  # public line the machine must show
    user_data: str


def make_identity(folder: Path) -> Identity:
    """Make a login key (file in ``folder``) and a host key, and the user-data that hands both over."""
    host_private, host_public = new_host_key()
    private, public = new_host_key()  # a login key has the same form
    path = folder / "id_ed25519"
    path.touch(mode=0o600)
    path.write_text(private)
    document = {
        "ssh_keys": {"ed25519_private": host_private, "ed25519_public": host_public},
        "ssh_deletekeys": True,
        "ssh_authorized_keys": [public],
        "disable_root": False,
        "ssh_pwauth": False,
    }
    return Identity(private_key=path, host_key=host_public, user_data=f"#cloud-config\n{yaml.safe_dump(document)}")


def ssh_banner(address: str, port: int = 22, *, limit: float = 30.0) -> float:
    """Wait until an SSH server says hello and return how long that took, in seconds."""
    began = time.monotonic()
    while time.monotonic() - began < limit:
        try:
            with socket.create_connection((address, port), timeout=0.2) as link:
                link.settimeout(5.0)
                if link.recv(8).startswith(b"SSH-2.0-"):
                    return time.monotonic() - began
        except OSError:
            time.sleep(0.02)
    raise AssertionError(f"no SSH server at {address}:{port} within {limit} s")


@pytest.fixture(scope="session")
def nspawn_yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NspawnMachines]:
    """A yard of real machines for all tests of this process; skips with the reason where there can be none."""
    if reason := why_not():
        pytest.skip(reason)
    yield from _yard(tmp_path_factory, DEFAULT)


# Debian 12 is what all other tests run on. Each of these needs an image of its own, which takes minutes to build.
OTHER_SUITES = [
    pytest.param(suite, id=name, marks=pytest.mark.long)
    for suite, name in (("trixie", "debian-13"), ("jammy", "ubuntu-22.04"), ("noble", "ubuntu-24.04"))
]
ALL_SUITES = [pytest.param(DEFAULT, id="debian-12"), *OTHER_SUITES]


@pytest.fixture(scope="session", params=OTHER_SUITES)
def suite_yard(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NspawnMachines]:
    """A yard of another system than the default, by ``params=OTHER_SUITES``; others can be had by indirect parameters.

    Skips with the reason where there can be none, or where the image is missing and the system's mirror out of reach.
    """
    if reason := why_not(request.param):
        pytest.skip(reason)
    try:
        yield from _yard(tmp_path_factory, request.param)
    except MirrorUnreachable as exc:
        pytest.skip(str(exc))


def _yard(folders: pytest.TempPathFactory, suite: str) -> Iterator[NspawnMachines]:
    yard = make_machines("nspawn", folders.mktemp(f"yard-{suite}"), suite=suite)
    assert isinstance(yard, NspawnMachines)
    yield yard
    yard.close()


@pytest.fixture(scope="module")
def light_yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LightMachines]:
    """A yard of light machines; needs nothing but loopback."""
    yard = make_machines("light", tmp_path_factory.mktemp("yard"), step_delay=0.0)
    assert isinstance(yard, LightMachines)
    yield yard
    yard.close()
