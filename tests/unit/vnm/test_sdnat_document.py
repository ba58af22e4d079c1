"""What ``alias_sdnat`` makes of the document it is handed, and how it tells what is wrong with it."""

from __future__ import annotations

import ast
import base64
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from remotes.vnm.alias_sdnat import alias_sdnat
from remotes.vnm.alias_sdnat.alias_sdnat import Problem, Rule, concerned, read_vm, rules_of
from tests.support.nat_lab import DRIVER, document

RECORDED = Path(__file__).parents[2] / "data/oned-7.4/actions"
NIC = {"NIC_ID": "0", "ALIAS_IDS": "1", "IP": "192.168.150.5", "BRIDGE": "br0", "VN_MAD": "bridge"}
ALIAS = {"NIC_ID": "1", "ALIAS_ID": "0", "PARENT_ID": "0", "IP": "198.51.100.8", "VN_MAD": "alias_sdnat"}
SOURCE = DRIVER / "alias_sdnat.py"


def stdin(xml: bytes) -> bytes:
    return base64.b64encode(xml) + b"\n"


def recorded(name: str, vn_mad: str = "alias_sdnat") -> bytes:
    """A recorded document, its aliases' networks turned into ours."""
    head, *aliases = (RECORDED / f"vnm.{name}.xml").read_bytes().split(b"<NIC_ALIAS>")
    old, new = b"<VN_MAD><![CDATA[packet]]>", f"<VN_MAD><![CDATA[{vn_mad}]]>".encode()
    return b"<NIC_ALIAS>".join([head, *(one.replace(old, new) for one in aliases)])


def rules(nic: Mapping[str, str], alias: Mapping[str, str]) -> tuple[list[Rule], list[str]]:
    warnings: list[str] = []
    vm = read_vm(stdin(document(4, [nic], [alias])))
    return rules_of(vm, vm.aliases[0], warnings.append)[0], warnings


def test_the_recorded_documents_are_understood() -> None:
    vm = read_vm(stdin(recorded("post")))
    assert vm.id == 4
    (alias,) = concerned(vm)
    assert rules_of(vm, alias, lambda _: None) == (
        [
            Rule(4, 1, "in", "198.51.100.8", "192.168.150.5"),
            Rule(4, 1, "sent", "198.51.100.8", "192.168.150.5", "br0"),
            Rule(4, 1, "out", "198.51.100.8", "192.168.150.5", "br0"),
            Rule(4, 1, "back", "198.51.100.8", "192.168.150.5", "br0"),
            Rule(4, 1, "via", "198.51.100.8", "192.168.150.5"),
            Rule(4, 1, "leaves", "", "192.168.150.5", "br0"),
            Rule(4, 1, "turns", "", "192.168.150.5", "br0"),
        ],
        {},
    )
    plugged = read_vm(stdin(recorded("post.nic_attach")))
    assert [one["NIC_ID"] for one in concerned(plugged)] == ["2"]  # the other one was there before
    assert concerned(read_vm(stdin(recorded("post", "packet")))) == []


def test_what_hangs_on_a_plugged_nic_is_concerned_too() -> None:
    other = {**ALIAS, "NIC_ID": "3", "PARENT_ID": "2"}
    plugged = {**NIC, "NIC_ID": "2", "ATTACH": "YES"}
    assert [one["NIC_ID"] for one in concerned(read_vm(stdin(document(4, [NIC, plugged], [ALIAS, other]))))] == ["3"]
    assert concerned(read_vm(stdin(document(4, [NIC, plugged], [ALIAS])))) == []


@pytest.mark.parametrize(
    ("nic", "alias", "pairs"),
    [
        ({"IP6": "fd15::5"}, {"IP6": "fd51::8"}, [("198.51.100.8", "192.168.150.5"), ("fd51::8", "fd15::5")]),
        ({"IP": "", "IP6_ULA": "fd15::5"}, {"IP": "", "IP6_GLOBAL": "2001:DB8::8"}, [("2001:db8::8", "fd15::5")]),
        (
            {"IP6_ULA": "fd15::5", "IP6_GLOBAL": "2001:db8::5"},
            {"IP": "", "IP6": "fd51::8"},
            [("fd51::8", "2001:db8::5")],
        ),
        ({"IP6_LINK": "fe80::5"}, {}, [("198.51.100.8", "192.168.150.5")]),
    ],
    ids=["both", "6", "global-first", "link"],
)
def test_each_family_both_sides_have_is_translated(
    nic: dict[str, str], alias: dict[str, str], pairs: list[tuple[str, str]]
) -> None:
    found, warnings = rules({**NIC, **nic}, {**ALIAS, **alias})
    assert ([(one.alias, one.parent) for one in found if one.what == "in"], warnings) == (pairs, [])


def test_a_family_the_parent_lacks_is_told_and_the_other_one_done() -> None:
    found, (warning,) = rules(NIC, {**ALIAS, "IP6": "fd51::8"})
    assert {one.alias for one in found if one.what == "in"} == {"198.51.100.8"}
    assert warning == "VM 4: NIC alias 1: fd51::8 stays unreachable, its parent has no IPv6 address"


def test_without_a_bridge_all_that_the_parent_sends_is_translated() -> None:
    found, _ = rules({**NIC, "BRIDGE": ""}, ALIAS)
    assert [(one.what, one.bridge) for one in found] == [("in", ""), ("out", ""), ("via", ""), ("leaves", "")]
    assert alias_sdnat.iptables_words(alias_sdnat.NAMES, found[1])[:3] == ["-s", "192.168.150.5", "-m"]


@pytest.mark.parametrize(
    ("nic", "alias", "text"),
    [
        ({}, {"NIC_ID": ""}, "VM 4: a NIC alias has no NIC_ID that is a number, but ''"),
        ({}, {"NIC_ID": "1/../2"}, "no NIC_ID that is a number, but '1/../2'"),
        ({}, {"PARENT_ID": "7"}, "NIC alias 1 has no parent: there is no NIC with NIC_ID '7'"),
        ({}, {"PARENT_ID": ""}, "has no parent: there is no NIC with NIC_ID ''"),
        ({}, {"IP": ""}, "NIC alias 1 and its parent have no addresses of the same family"),
        ({"IP": ""}, {}, "have no addresses of the same family"),
        ({}, {"IP": "198.51.100.300"}, "NIC alias 1 has '198.51.100.300' for its IPv4 address"),
        ({}, {"IP": "198.51.100.8/24"}, "'198.51.100.8/24' for its IPv4 address"),
        ({}, {"IP": "fd51::8"}, "has fd51::8 for its IPv4 address, which cannot be translated"),
        ({}, {"IP": "-j ACCEPT"}, "'-j ACCEPT' for its IPv4 address"),
        ({"IP": "127.0.0.1"}, {}, "NIC alias 1's parent has 127.0.0.1 for its IPv4 address, which cannot be"),
        ({}, {"IP": "224.0.0.1"}, "which cannot be translated"),
        ({"IP6": "fe80::1"}, {"IP6": "fd51::8"}, "which cannot be translated"),
        ({"IP6": "fe80::1%br0"}, {"IP6": "fd51::8"}, "fe80::1%br0"),
        ({"BRIDGE": "br0 -j ACCEPT"}, {}, "'br0 -j ACCEPT' for its BRIDGE, which cannot be an interface"),
        ({"BRIDGE": 'br"0'}, {}, "cannot be an interface"),
        ({"BRIDGE": "br+"}, {}, "cannot be an interface"),
        ({"BRIDGE": "a-bridge-of-sixteen"}, {}, "cannot be an interface"),
        ({"VN_MAD": "alias_sdnat"}, {}, "its parent NIC is in a network of alias_sdnat, too"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(nic: dict[str, str], alias: dict[str, str], text: str) -> None:
    with pytest.raises(Problem) as told:
        rules({**NIC, **nic}, {**ALIAS, **alias})
    assert text in str(told.value)
    assert str(told.value).startswith("VM 4: ")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"<VM/>", "not base64"),
        (b"", "not XML"),
        (stdin(b"<VM><ID>4</ID>"), "not XML"),
        (stdin(b"<VM><ID>x</ID></VM>"), "not a VM document with an ID"),
        (stdin(b"<VNET><ID>4</ID></VNET>"), "not a VM document with an ID"),
        (stdin(b"<!DOCTYPE VM><VM><ID>4</ID></VM>"), "document type declaration"),
        (stdin(b'<!DOCTYPE VM [<!ENTITY a "b">]><VM><ID>&a;</ID></VM>'), "document type declaration"),
        (stdin('<?xml version="1.0" encoding="utf-16"?><!DOCTYPE VM><VM/>'.encode("utf-16")), "standard input"),
        (stdin(b"<VM><ID>&a;</ID></VM>"), "not XML"),
        (b"A" * (alias_sdnat.MAX_INPUT + 1), "longer than"),
    ],
)
def test_documents_nobody_sends_are_refused(data: bytes, text: str) -> None:
    with pytest.raises(Problem, match=text):
        read_vm(data)


def test_a_document_in_lines_is_read() -> None:
    """update_nic gets it so (Ruby's ``Base64.encode64``)."""
    assert read_vm(base64.encodebytes(recorded("post"))).id == 4


def test_comments_say_it_all_and_fit_into_nft() -> None:
    long = "fd00:1111:2222:3333:4444:5555:6666:777"
    for what in ("in", "out", "back", "via"):
        rule = Rule(999999999, 999999999, what, long + "1", long + "2", "br-of-15-bytes1")
        assert Rule.of_comment(rule.comment("sdnat"), "sdnat") == rule
        assert len(rule.comment("sdnat")) <= 127
        assert Rule.of_comment(rule.comment("sdnat"), "hybrid") is None
    for text in ("", "sdnat", "sdnat/x/1/in/a/b/c", "nodeport/4/1/in/a/b/c", "sdnat/4/1/in/a/b"):
        assert Rule.of_comment(text, "sdnat") is None


# --- as it runs on a host ---------------------------------------------------------------------------------------------


def test_it_is_python_3_6_and_nothing_else() -> None:
    tree = ast.parse(SOURCE.read_text(), feature_version=(3, 6))
    assert all(not isinstance(node, ast.ImportFrom) or node.level == 0 for node in ast.walk(tree))


def old_pythons() -> Iterator[str]:
    """Yield a Python 3.6 where there is one: RHEL 8's, or one of pyenv (its shims run only what is chosen there)."""
    places = [Path("/usr/libexec/platform-python"), *Path.home().glob(".pyenv/versions/3.6.*/bin/python3.6")]
    yield from [str(path) for path in places if path.exists()][:1]


PYTHONS = ["python3", *old_pythons()]


def run(folder: Path, action: str, data: bytes, python: str = "python3") -> tuple[int, str]:
    """Run an executable as on a host, with a Python and an ``iptables`` of our choice first on PATH."""
    found = subprocess.run(
        [python, "-c", "import sys; print(sys.executable)"], capture_output=True, check=True, text=True
    )
    links = folder / "bin"
    links.mkdir(exist_ok=True)
    link = links / "python3"
    link.unlink(missing_ok=True)
    link.symlink_to(found.stdout.strip())
    for name in ("iptables", "ip6tables", "nft"):
        program = links / name
        program.write_text(f'#!/bin/sh\necho "{name} $@" >>"{folder}/log"\n[ "{name}" != nft ]\n')
        program.chmod(0o755)
    environment = {"PATH": f"{links}:{os.environ['PATH']}", "LC_ALL": "C"}
    done = subprocess.run([DRIVER / action], input=data, capture_output=True, env=environment)
    assert done.stdout == b""
    return done.returncode, done.stderr.decode()


@pytest.mark.parametrize("python", PYTHONS)
def test_the_executables_run_it(tmp_path: Path, python: str) -> None:
    if os.geteuid():
        pytest.skip("not root: would ask sudo")
    for action in ("pre", "update_sg", "update_nic", "clean", "post"):
        code, said = run(tmp_path, action, stdin(recorded("post")), python)
        assert (code, said) == (0, "") or said.startswith("WARN: this host does not forward")
    log = (tmp_path / "log").read_text()
    assert "iptables -w 10 -t nat -I hybrid-alias-dnat 1 -d 198.51.100.8 -m comment --comment sdnat/4/1/in/" in log
    # The Python of the tests themselves may have compiled it, in another worker.
    assert python == "python3" or not list(DRIVER.rglob("*.cpython-36.pyc"))


@pytest.mark.parametrize("python", PYTHONS)
def test_a_failure_is_one_plain_line(tmp_path: Path, python: str) -> None:
    bad = document(4, [NIC], [{**ALIAS, "IP": "caf\u00e9\n1"}, {**ALIAS, "NIC_ID": "2", "PARENT_ID": "9"}])
    code, said = run(tmp_path, "pre", stdin(bad), python)
    assert code == 1
    assert said.startswith("alias_sdnat: VM 4: NIC alias 1 has 'caf")
    assert "; VM 4: NIC alias 2 has no parent" in said
    assert said.count("\n") == 1


def test_a_host_without_python_is_told(tmp_path: Path) -> None:
    done = subprocess.run(["/bin/sh", DRIVER / "post"], input=b"", capture_output=True, env={"PATH": str(tmp_path)})
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"there is no python3 on this host" in done.stderr
