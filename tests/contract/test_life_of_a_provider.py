"""A provider made with ``onehybrid provider create`` is one that machines are rented with, through all of its life."""

from __future__ import annotations

import json
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import yaml
from tests.support.lab import PROVIDERS, no_secret_came_out, quick_lab, wait_told

from hybrid_drivers.sandbox.ec2_api import Ec2Simulator
from hybrid_drivers.sandbox.lab import ENTRIES, Lab

NAMES_OF_6_X = {"packet": "equinix", "ec2": "aws"}


class Operator:
    """Runs ``onehybrid provider`` and keeps all it ever printed."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self.printed = lab, ""

    def run(self, *words: str) -> CompletedProcess[str]:
        done = self.lab.run("onehybrid", "provider", *words)
        self.printed += done.stdout + done.stderr
        return done

    def ok(self, *words: str) -> str:
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refused(self, *words: str) -> str:
        done = self.run(*words)
        assert (done.returncode, done.stdout) == (255, "")
        return done.stderr


def secret_of(lab: Lab) -> str:
    return lab.simulator.secret_access_key if isinstance(lab.simulator, Ec2Simulator) else lab.simulator.token


def file_of_6_x(lab: Lab, name: str, **changes: str) -> Path:
    """Write the laboratory's entry as OneProvision 6.x would have it."""
    entry = lab.entry()
    kept = {key: entry.pop(key) for key in ("remote_port", "limits", "endpoint")}
    connection = {key: value for key, value in entry.items() if key != "driver"}
    told = {
        "name": name,
        "provider": NAMES_OF_6_X[lab.options.provider],
        **kept,
        "connection": {**connection, **changes},
    }
    path = lab.folder / "provider.yaml"
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(told))
    return path


def processes(lab: Lab) -> dict[str, bytes]:
    """Return the command lines and environments of the laboratory's processes."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment, command = (folder / "environ").read_bytes(), (folder / "cmdline").read_bytes()
        except OSError:
            continue  # ended meanwhile, or not ours
        if str(lab.frontend.location).encode() in environment:
            found[folder.name] = environment + command
    return found


@pytest.mark.parametrize("provider", PROVIDERS)
def test_from_a_file_of_6_x_to_a_machine_and_back(provider: str) -> None:
    with quick_lab(provider) as lab:
        name, operator = ENTRIES[provider], Operator(lab)
        (lab.location.etc / f"providers.d/{name}.yaml").unlink()
        host_id = lab.create("edge1")
        wait_told(lab, host_id, "PROVISION_ERROR", f"there is no provider '{name}'")

        wrong = file_of_6_x(lab, name, **{"token" if provider == "packet" else "secret_key": "nobody-knows-this"})
        assert "nothing was stored" in operator.refused("create", str(wrong))
        assert lab.oned.documents(702) == []
        printed = operator.ok("create", str(file_of_6_x(lab, name))).splitlines()
        assert printed[-1] == f"ID: {lab.oned.documents(702)[0].id}"

        lab.wait_ready(host_id)
        assert all(secret_of(lab).encode() not in text for text in processes(lab).values())
        assert str(lab.agent_pid()) in processes(lab)
        host = lab.host(host_id)
        assert f"it is used by host {host_id} ({host.name})" in operator.refused("delete", name)
        shown = json.loads(operator.ok("show", name, "--json"))["PROVIDER"]
        assert (shown["DRIVER"], shown["USERS"]) == (provider, [f"host {host_id} ({host.name})"])
        operator.ok("list", "--decrypt", "--xml")
        operator.ok("check", name)
        no_secret_came_out(lab)

        lab.oned.delete_host(host_id)
        lab.wait_empty()
        assert operator.ok("delete", name) == ""
        assert lab.oned.documents(702) == []
        assert secret_of(lab) not in operator.printed


def test_a_machine_on_its_way_back_keeps_its_provider() -> None:
    with quick_lab("packet", slow_delete=3600) as lab:
        name, operator = ENTRIES["packet"], Operator(lab)
        (lab.location.etc / f"providers.d/{name}.yaml").unlink()
        operator.ok("create", str(file_of_6_x(lab, name)))
        host_id = lab.create("edge1")
        lab.wait_ready(host_id)
        lab.oned.delete_host(host_id)
        lab.wait(lambda: list((lab.location.state / "departures").glob("*.json")))
        assert f"it is used by the machine of host {host_id}" in operator.refused("delete", name)
        lab.simulator.knobs.slow_delete = 0.05
        operator.ok("list")
