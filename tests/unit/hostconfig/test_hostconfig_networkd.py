"""What systemd-networkd is told, by a stand-in for ``networkctl``."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

import hybrid_drivers.hostconfig

FOLDER = Path(hybrid_drivers.hostconfig.__file__).parent
NETWORKCTL = """#!/bin/sh
echo "$*" >>"$0.calls"
[ "$(wc -l <"$0.calls")" -gt "$FAILS" ] && exit 0
echo 'Failed to reconfigure network interface br0: Link 4 not known' >&2
exit 1
"""


@pytest.mark.parametrize(("fails", "code"), [(0, 0), (2, 0), (1000, 1)])
def test_what_networkd_has_not_heard_of_yet_is_told_again(tmp_path: Path, fails: int, code: int) -> None:
    program = tmp_path / "networkctl"
    program.write_text(NETWORKCTL)
    program.chmod(0o755)
    parts = f". {FOLDER}/network_change.sh; . {FOLDER}/network_backends.sh"
    done = subprocess.run(
        ["sh", "-ec", f"{parts}; network_wait=1; networkd_reconfigure eth1 br0"],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "FAILS": str(fails)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == code
    assert ("Link 4 not known" in done.stderr) == bool(code), "only what is not mended is told"
    calls = Path(f"{program}.calls").read_text().splitlines()
    assert set(calls) == {"reconfigure eth1 br0"}
    assert len(calls) == fails + 1 or code
