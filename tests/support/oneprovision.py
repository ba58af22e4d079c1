"""``oneprovision`` on a laboratory, as a person runs it."""

from __future__ import annotations

import json
import subprocess
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.lab import no_secret_came_out

from hybrid_drivers.sandbox.lab import Lab

HOSTS_ONLY = """
name: small
playbook: dummy
defaults:
  provision: {provider: packet-ams, plan: c3.small.x86, os: debian_12, metro: am}
hosts:
  - {im_mad: kvm, vm_mad: kvm, provision: {hostname: "edge-${index}", count: 2}}
"""


def oneprovision(lab: Lab, *words: str) -> subprocess.CompletedProcess[str]:
    """Run it; failures are for the test to look at."""
    return lab.run("oneprovision", *words)


def write(tmp_path: Path, text: str, name: str = "template.yaml") -> str:
    """Write a template and return its path."""
    path = tmp_path / name
    path.write_text(textwrap.dedent(text))
    return str(path)


def created(lab: Lab, file: str, *words: str) -> str:
    """Create a provision and return its id, which is printed first and last."""
    done = oneprovision(lab, "create", file, *words)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == lines[-1]
    return lines[0].removeprefix("ID: ")


def shown(lab: Lab, which: str) -> dict[str, Any]:
    """Return what ``show --json`` tells."""
    done = oneprovision(lab, "show", which, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["DOCUMENT"]
    assert isinstance(found, dict)
    return found


def nothing_left(lab: Lab) -> bool:
    """Tell whether neither the provider nor oned has anything of a provision."""
    lab.wait_empty()
    clusters = {cluster.name for cluster in lab.oned.clusters()}
    return not lab.oned.hosts() and clusters == {"default", "edge"} and not lab.oned.documents(703)


@contextmanager
def as_it_was(lab: Lab) -> Iterator[Lab]:
    """Yield a laboratory that is empty again afterwards, and has shown no secret."""
    yield lab
    lab.simulator.knobs.change({"quota": 0, "provisioning": 0.1})
    for known in json.loads(oneprovision(lab, "list", "--json").stdout)["DOCUMENT_POOL"]["DOCUMENT"]:
        oneprovision(lab, "delete", str(known["ID"]), "--cleanup")
    assert nothing_left(lab)
    no_secret_came_out(lab)
