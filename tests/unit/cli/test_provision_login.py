"""``oneprovision host ssh``: nothing of a host's template is taken for an option of ssh(1)."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from hybrid_drivers.cli.provision.login import log_in
from hybrid_drivers.hostconfig.hostkeys import generate
from hybrid_drivers.model import Host, HostState, Template

needs_ssh = pytest.mark.skipif(shutil.which("ssh") is None, reason="needs ssh(1)")


@needs_ssh
@pytest.mark.parametrize(
    ("user", "address"),
    [
        ("-oProxyCommand=touch x; false #", "127.0.0.1"),
        ("-oProxyCommand=touch${IFS}x", "127.0.0.1"),
        ("$(touch x)", "127.0.0.1"),
        ("root", "-oProxyCommand=touch x; false #"),
        ("root", "127.0.0.1;touch x"),
    ],
)
def test_names_are_no_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: str, address: str) -> None:
    key = generate(bytes(32))
    (tmp_path / "key").write_text(key.private_openssh)
    (tmp_path / "key").chmod(0o600)
    connection = {"REMOTE_USER": user, "REMOTE_PORT": "9", "PRIVATE_KEY": str(tmp_path / "key")}
    told: list[tuple[str, Any]] = [("PROVISION_ADDRESS", address), ("PROVISION_HOST_KEY", key.public)]
    told += [("PROVISION_CONNECTION", connection)]
    monkeypatch.setenv("ONE_LOCATION", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    host = Host(
        id=0,
        name="edge1",
        state=HostState.MONITORED,
        im_mad="provision",
        vm_mad="kvm",
        cluster_id=0,
        template=Template(told),
    )
    assert log_in(host, ["127.0.0.1"]) == 255
    assert not (tmp_path / "x").exists()
