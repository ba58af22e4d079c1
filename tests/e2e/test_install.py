"""install.sh, run as an operator runs it, into front-ends that have the shape of OpenNebula's own files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.installer import CONF, MONITORD, ONED, TOP, install, linked, mode, snapshot, write

PROVISIONS = [path for path in (TOP / "share/provisions").rglob("*.yaml") if path.is_file()]


def test_files_folders_and_modes(checkout: Path, one: Path) -> None:
    said = linked(checkout, one)
    assert "restart OpenNebula" in said
    assert mode(one / "etc/hybrid") == 0o750
    assert mode(one / "etc/hybrid/providers.d") == 0o700
    assert mode(one / "var/hybrid") == 0o700
    assert {mode(path) for path in (one / "etc/hybrid/providers.d").iterdir()} == {0o600}
    names = {
        str(path.relative_to(checkout / "remotes")) for path in (checkout / "remotes").rglob("*") if path.is_file()
    }
    assert "im/provision.d/monitord-client_control.sh" in names
    for name in names:
        assert (one / "var/remotes" / name).resolve() == checkout / "remotes" / name
    client = (one / "lib/hybrid/hybrid-client").read_text()
    assert client.splitlines()[0] == f"#!{one}/lib/hybrid/venv/bin/python -IS"
    assert mode(one / "lib/hybrid/hybrid-client") == 0o755
    assert os.readlink(one / "lib/hybrid/venv") == sys.prefix
    assert os.readlink(one / "bin/onehybrid") == f"{one}/lib/hybrid/venv/bin/onehybrid"


def test_examples_of_templates_come_along_and_work_from_there(checkout: Path, one: Path, tmp_path: Path) -> None:
    linked(checkout, one)
    folder = one / "share/hybrid/provisions"
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert names == {str(path.relative_to(TOP / "share/provisions")) for path in PROVISIONS}
    assert {mode(folder / name) for name in names} == {0o644}
    for name in ("packet.yaml", "oneprovision-5.12-ec2.yaml"):  # the second one extends another
        run = subprocess.run(
            [str(one / "bin/onehybrid"), "provision", "validate", name],
            env={"PATH": os.environ["PATH"], "ONE_LOCATION": str(one), "HOME": str(tmp_path)},
            cwd=tmp_path, capture_output=True, text=True,
        )  # fmt: skip
        assert (run.returncode, run.stderr) == (0, f"{name} is {folder / name}\n"), run.stderr


def test_opennebulas_configuration_gains_what_is_missing(checkout: Path, one: Path) -> None:
    said = linked(checkout, one)
    assert '"-t 1 -i dummy,aws,equinix,vultr,packet,ec2"' in (one / "etc/oned.conf").read_text()
    assert 'NAME        = "alias_sdnat"' in (one / "etc/oned.conf").read_text()
    assert 'NAME          = "provision"' in (one / "etc/monitord.conf").read_text()
    assert "elastic-clean hybrid-post hybrid-clean" in (one / "etc/vmm_exec/vmm_execrc").read_text()
    assert f"added to {one}/etc/oned.conf: IPAM_MAD/ARGUMENTS (packet ec2), VN_MAD_CONF hybrid" in said
    assert mode(one / "etc/oned.conf") == 0o640
    for name, text in CONF.items():
        saved = list((one / "etc" / name).parent.glob(f"{Path(name).name}.before-hybrid-*"))
        assert [path.read_text() for path in saved] == [text]


def test_twice_is_as_once(checkout: Path, one: Path) -> None:
    linked(checkout, one)
    before = snapshot(one, times=True)
    said = linked(checkout, one)
    changed = {path for path, state in snapshot(one, times=True).items() if before.get(path) != state}
    assert changed == set()
    assert "added" not in said


def test_removal_restores_every_byte(checkout: Path, one: Path) -> None:
    before = snapshot(one)
    linked(checkout, one)
    said = install(checkout, "-d", str(one), "-r")
    assert snapshot(one) == before
    assert "kept" not in said
    assert "estart" in said


def test_removal_after_two_versions_leaves_nothing(checkout: Path, one: Path, tmp_path: Path) -> None:
    before = snapshot(one)
    older = tmp_path / "older"
    shutil.copytree(checkout, older)
    write(older / "remotes/pm/old/deploy", "#!/bin/sh\n")
    linked(older, one)
    assert (one / "var/remotes/pm/old/deploy").exists()
    linked(checkout, one)
    assert not os.path.lexists(one / "var/remotes/pm/old/deploy")
    install(checkout, "-d", str(one), "-r")
    assert snapshot(one) == before


def test_removal_leaves_what_the_operator_did_since(checkout: Path, one: Path) -> None:
    linked(checkout, one)
    oned = one / "etc/oned.conf"
    oned.write_text(oned.read_text().replace("aws,equinix", "aws,mine") + "MANAGER_TIMER = 15\n")
    write(one / "etc/hybrid/providers.d/ams.yaml", "driver: dummy\n")
    write(one / "etc/hybrid/hybrid.yaml", "zone_id: 0\n")
    write(one / "var/remotes/pm/packet/mine", "")
    said = install(checkout, "-d", str(one), "-r")
    assert oned.read_text() == ONED.replace("aws,equinix", "aws,mine") + "MANAGER_TIMER = 15\n"
    assert list(oned.parent.glob("oned.conf.before-hybrid-*"))
    assert (one / "etc/hybrid/providers.d/ams.yaml").read_text() == "driver: dummy\n"
    assert (one / "etc/hybrid/hybrid.yaml").read_text() == "zone_id: 0\n"
    assert [path.name for path in (one / "var/remotes/pm/packet").iterdir()] == ["mine"]
    assert f"kept {one}/etc/hybrid/hybrid.yaml: it was edited" in said
    assert not (one / "lib").exists()


def test_nothing_to_remove_is_said(checkout: Path, one: Path) -> None:
    before = snapshot(one)
    said = install(checkout, "-d", str(one), "-r", code=1)
    assert "not installed here" in said
    assert snapshot(one) == before


def test_edited_configuration_is_kept_with_k_and_saved_without(checkout: Path, one: Path) -> None:
    linked(checkout, one)
    edited = one / "etc/hybrid/hybrid.yaml"
    shipped = edited.read_text()
    edited.write_text("zone_id: 7\n")
    edited.chmod(0o600)
    said = linked(checkout, one, "-k")
    assert edited.read_text() == "zone_id: 7\n"
    assert "kept" in said
    linked(checkout, one)
    saved = list(edited.parent.glob("hybrid.yaml.*"))
    assert edited.read_text() == shipped
    assert [path.read_text() for path in saved] == ["zone_id: 7\n"]
    assert mode(saved[0]) == 0o600


def test_a_new_version_replaces_configuration_nobody_edited(checkout: Path, one: Path, tmp_path: Path) -> None:
    newer = tmp_path / "newer"
    shutil.copytree(checkout, newer)
    write(newer / "etc/hybrid.yaml", "# of the next version\n")
    linked(checkout, one)
    linked(newer, one, "-k")
    assert (one / "etc/hybrid/hybrid.yaml").read_text() == "# of the next version\n"
    assert list((one / "etc/hybrid").glob("hybrid.yaml.*")) == []


@pytest.mark.parametrize(
    "name",
    [
        "var/remotes/pm/packet/deploy",
        "var/remotes/im/provision.d/monitord-client_control.sh",
        "bin/onehybrid",
        "lib/hybrid/venv",
    ],
)
def test_what_is_not_ours_is_never_overwritten(checkout: Path, one: Path, name: str) -> None:
    write(one / name, "#!/usr/bin/env ruby\n")
    before = snapshot(one)
    said = linked(checkout, one, code=1)
    assert f"not ours and in the way, nothing was changed: {one / name};" in said
    assert snapshot(one) == before


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        (
            "oned.conf",
            'IPAM_MAD = [ ARGUMENTS = "-i x\n',
            "oned.conf: line 1 has a quote that is not closed; nothing was",
        ),
        ("monitord.conf", "IM_MAD = [\n  NAME\n", "monitord.conf: line 2 is not NAME = value; nothing was changed"),
    ],
)
def test_configuration_that_cannot_be_read_stops_it(
    checkout: Path, one: Path, name: str, text: str, problem: str
) -> None:
    write(one / "etc" / name, text)
    before = snapshot(one)
    assert problem in linked(checkout, one, code=1)
    assert snapshot(one) == before


def test_absent_configuration_is_added_to_when_it_appears(checkout: Path, one: Path) -> None:
    (one / "etc/monitord.conf").unlink()
    assert f"note: {one}/etc/monitord.conf does not exist" in linked(checkout, one)
    write(one / "etc/monitord.conf", MONITORD)
    linked(checkout, one)
    assert '"provision"' in (one / "etc/monitord.conf").read_text()


def test_a_linked_configuration_file_stays_a_link(checkout: Path, one: Path, tmp_path: Path) -> None:
    (one / "etc/oned.conf").rename(tmp_path / "shared.conf")
    (one / "etc/oned.conf").symlink_to(tmp_path / "shared.conf")
    linked(checkout, one)
    assert (one / "etc/oned.conf").is_symlink()
    assert "packet,ec2" in (tmp_path / "shared.conf").read_text()
    install(checkout, "-d", str(one), "-r")
    assert (tmp_path / "shared.conf").read_text() == ONED


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--what"], "unknown option --what"),
        (["-d"], "-d needs a value"),
        (["--python", "/bin/false", "-d", "."], "/bin/false is not a Python 3.10 or newer"),
        (["-d", "/tmp/with blank"], "has blanks in it"),
        (["--wheels", "/nowhere", "-d", "."], "--wheels: /nowhere is not a folder"),
        (["-r", "-d", "/nowhere"], "/nowhere is not a folder"),
    ],
)
def test_wrong_use_is_one_sentence(checkout: Path, tmp_path: Path, arguments: list[str], problem: str) -> None:
    one = str(tmp_path / "new")
    said = install(checkout, *[one if word == "." else word for word in arguments], code=1)
    assert problem in said
    assert len(said.splitlines()) == 1


def test_packages_that_cannot_be_had_leave_nothing_behind(checkout: Path, one: Path, tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    before = snapshot(one)
    said = install(checkout, "-d", str(one), "--wheels", str(tmp_path / "wheels"), "--python", sys.executable, code=1)
    assert "the Python packages could not be installed" in said.splitlines()[-1]
    assert snapshot(one) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="changes owners")
def test_owner_is_who_was_named(checkout: Path, one: Path) -> None:
    linked(checkout, one, "-u", "nobody", "-g", "nogroup")
    for name in ("etc/hybrid/hybrid.yaml", "etc/hybrid/providers.d", "var/hybrid", "lib/hybrid/hybrid-client"):
        assert ((one / name).owner(), (one / name).group()) == ("nobody", "nogroup")
    assert (one / "etc/oned.conf").owner() == "root"
    assert "does not exist" in linked(checkout, one, "-u", "no-such-user", code=1)


@pytest.mark.parametrize("name", ["im/provision.d/monitord-client_control.sh", "pm/ec2/poll"])
def test_executables_without_their_client_say_so(one: Path, checkout: Path, name: str) -> None:
    run = subprocess.run(
        [str(checkout / "remotes" / name), "1", "edge1"],
        env={"ONE_LOCATION": str(one), "PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )  # fmt: skip
    missing = f"{one}/lib/hybrid/hybrid-client or its Python is missing"
    sentence = f"The hybrid drivers are not completely installed: {missing}; run install.sh again.\n"
    if name.startswith("pm/"):  # as 5.12 frames it
        framed = f"ERROR MESSAGE --8<------\n{sentence}ERROR MESSAGE ------>8--\n"
        assert (run.stdout, run.stderr, run.returncode) == ("", framed, 255)
    else:
        assert (run.stdout, run.stderr, run.returncode) == (sentence, "", 1)


def test_executables_hand_arguments_and_input_to_the_client(one: Path, checkout: Path) -> None:
    write(one / "lib/hybrid/hybrid-client", '#!/bin/sh\nprintf "<%s>" "$@"\ncat\nexit 7\n')
    (one / "lib/hybrid/venv/bin").mkdir(parents=True)
    (one / "lib/hybrid/venv/bin/python").symlink_to(sys.executable)
    (one / "lib/hybrid/hybrid-client").chmod(0o755)
    for name, words in {
        "im/provision.d/monitord-client_control.sh": "<im><provision><monitord-client_control>",
        "pm/packet/deploy": "<pm><packet><deploy>",
    }.items():
        run = subprocess.run(
            [str(checkout / "remotes" / name), "stop", "a b", ""],
            env={"ONE_LOCATION": str(one), "PATH": "/usr/bin:/bin"}, input="in", capture_output=True, text=True,
        )  # fmt: skip
        assert (run.stdout, run.stderr, run.returncode) == (f"{words}<stop><a b><>in", "", 7)


@pytest.mark.slow
def test_packaged_system_wide_from_wheels(checkout: Path, tmp_path: Path) -> None:
    """The whole of it under DESTDIR, offline: venv, programs that will run where they are unpacked, unit, removal."""
    wheels, root = tmp_path / "wheels", tmp_path / "root"
    made = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--disable-pip-version-check",
        "-w",
        str(wheels),
        f"{checkout}[ec2]",
    ]
    subprocess.run(made, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for name, text in CONF.items():
        write(root / "etc/one" / name, text)
    before = snapshot(root)
    install(checkout, "--wheels", str(wheels), "--python", sys.executable, DESTDIR=str(root))
    lib = root / "usr/lib/one/hybrid"
    assert (lib / "hybrid-client").read_text().startswith("#!/usr/lib/one/hybrid/venv/bin/python -IS\n")
    assert str(root) not in (lib / "manifest.json").read_text()
    for name in ("onehybrid", "oneprovision", "oneprovider"):
        assert os.readlink(root / "usr/bin" / name) == f"/usr/lib/one/hybrid/venv/bin/{name}"
        program = (lib / "venv/bin" / name).read_text()
        assert program.startswith("#!/usr/lib/one/hybrid/venv/bin/python")
    assert (root / "usr/share/man/man1/onehybrid.1").exists()
    assert (root / "usr/share/bash-completion/completions/onehybrid").exists()
    assert (root / "usr/share/one/hybrid/provisions/parents/default.yaml").exists()
    unit = (root / "usr/lib/systemd/system/opennebula-hybrid.service").read_text()
    assert "ExecStart=/usr/lib/one/hybrid/venv/bin/onehybrid agent run --wait --idle-exit 0\n" in unit
    loaded = "import hybrid_drivers, boto3; print(hybrid_drivers.__file__)"
    said = subprocess.run(
        [str(lib / "venv/bin/python"), "-I", "-c", loaded], capture_output=True, text=True, check=True
    )
    assert said.stdout.startswith(f"{lib}/venv/")
    shutil.rmtree(lib / "venv/__pycache__", ignore_errors=True)
    once = snapshot(root, times=True)
    install(checkout, "--wheels", str(wheels), "--python", sys.executable, DESTDIR=str(root))
    assert snapshot(root, times=True) == once
    assert json.loads((lib / "manifest.json").read_text())["files"]["/usr/lib/one/hybrid/venv"] == "venv"
    install(checkout, "-r", "--python", sys.executable, DESTDIR=str(root))
    assert snapshot(root) == before
