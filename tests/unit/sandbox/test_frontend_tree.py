"""The tree of a front-end, and the command line that starts one."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.sandbox.__main__ import main as sandbox_main
from hybrid_drivers.sandbox.frontend import Frontend, tree
from hybrid_drivers.sandbox.frontend.cli import main


def test_the_tree_is_made_once_and_kept(tmp_path: Path) -> None:
    tree.build(tmp_path, None)
    auth = tmp_path / ".one/one_auth"
    assert auth.stat().st_mode & 0o777 == 0o600
    assert auth.read_text().startswith("oneadmin:")
    before = auth.read_text()
    (tmp_path / "etc/oned.conf").write_text("# edited\n")
    tree.build(tmp_path, None)
    assert (auth.read_text(), (tmp_path / "etc/oned.conf").read_text()) == (before, "# edited\n")
    for program in ("run_monitord_client", "stop_monitord_client"):
        assert os.access(tmp_path / "var/remotes/im" / program, os.X_OK)


@pytest.mark.skipif(tree.CHECKOUT is None, reason="not run from a checkout")
def test_install_sh_puts_our_executables_into_it(tmp_path: Path) -> None:
    tree.build(tmp_path / "one", tree.CHECKOUT)
    script = tmp_path / "one/var/remotes/im/provision.d/monitord-client_control.sh"
    assert os.access(script, os.X_OK)
    assert 'NAME          = "provision"' in (tmp_path / "one/etc/monitord.conf").read_text()
    assert 'VNMAD_LOCAL_ACTIONS="elastic-post elastic-clean ' in (tmp_path / "one/etc/vmm_exec/vmm_execrc").read_text()


@pytest.mark.skipif(tree.CHECKOUT is None, reason="not run from a checkout")
def test_a_copy_is_what_install_sh_would_have_put_there(tmp_path: Path) -> None:
    """The second tree on is a copy, each with a password of its own; a folder with something in it gets install.sh."""
    copied, installed = tmp_path / "one", tmp_path / "other"
    tree.build(copied, tree.CHECKOUT)
    (installed / "etc").mkdir(parents=True)
    tree.build(installed, tree.CHECKOUT)
    assert tree.session(copied) != tree.session(installed)
    here, there = record(copied), record(installed)
    assert [one.replace(str(copied), str(installed)) for one in here] == list(there)
    for path, told in here.items():
        kind, _, digest = told.partition(" ")
        at = Path(path)
        if kind != "link" and at.is_file():
            assert digest == hashlib.sha256(at.read_bytes()).hexdigest(), path
        assert not at.is_symlink() or str(installed) not in os.readlink(at)
    command = ["sh", str(tree.CHECKOUT / "install.sh"), "-d", str(copied), "-r"] if tree.CHECKOUT else []
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert not (copied / "lib/hybrid").exists()


def record(location: Path) -> dict[str, str]:
    files: dict[str, str] = json.loads((location / "lib/hybrid/manifest.json").read_text())["files"]
    return files


def test_a_failing_install_sh_is_told(tmp_path: Path) -> None:
    (tmp_path / "repository").mkdir()
    (tmp_path / "repository/install.sh").write_text("echo no space left >&2; exit 3\n")
    with pytest.raises(ConfigError, match="failed with exit code 3: no space left"):
        tree.build(tmp_path / "one", tmp_path / "repository")


def test_a_broken_monitord_conf_is_told_and_ports_are_free_again(tmp_path: Path) -> None:
    frontend = Frontend(tmp_path / "one", repository=None)
    with frontend:
        pass
    (tmp_path / "one/etc/monitord.conf").write_text("IM_MAD = [ NAME")
    with pytest.raises(ConfigError, match=r"monitord\.conf cannot be understood"):
        frontend.start()
    (tmp_path / "one/etc/monitord.conf").write_text("")
    frontend.start()
    frontend.stop()


def test_a_wrong_knob_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match="no knob is called nope"):
        main(["--location", str(tmp_path), "--knob", "nope=1"])
    assert sandbox_main(["frontend", "--knob", "slow"]) == 1
    assert "'slow' is not NAME=VALUE" in capsys.readouterr().err


def test_the_command_prints_what_to_export(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hybrid_drivers.sandbox", "frontend", "--location", str(tmp_path / "one")]
    with subprocess.Popen(
        [*command, "--listen", "127.0.0.1:0", "--monitord-port", "0"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(5)]
        process.terminate()
        assert process.wait(20) == 0
    exports = dict(line.removeprefix("export ").rstrip().split("=", 1) for line in lines)
    assert exports["ONE_LOCATION"] == str(tmp_path / "one")
    assert exports["ONE_XMLRPC"].startswith("http://127.0.0.1:")
