"""What a host takes itself for, and what the package functions make of it, in real shells and without any package."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from hybrid_drivers.hostconfig import script as script_module
from hybrid_drivers.hostconfig.script import preamble
from hybrid_drivers.hostconfig.systems import SYSTEMS, chosen

SHELLS = [shell for shell in (["dash"], ["bash", "--posix"], ["busybox", "sh"]) if shutil.which(shell[0])]
OS_RELEASES = Path(__file__).parents[2] / "data" / "os-release"
NAMES = {
    "almalinux-8": "redhat-8 redhat",
    "almalinux-9": "redhat-9 redhat",
    "almalinux-10": "redhat-10 redhat",
    "rhel-8": "redhat-8 redhat",
    "rhel-9": "redhat-9 redhat",
    "rhel-10": "redhat-10 redhat",
    "rocky-9": "redhat-9 redhat",
    "centos-stream-9": "redhat-9 redhat",
    "centos-stream-10": "redhat-10 redhat",
    "oracle-9": "",  # it says it is like Fedora only
    "debian-12": "debian-12 debian",
    "debian-13": "debian-13 debian",
    "ubuntu-22.04": "ubuntu-22.04 ubuntu debian",
    "ubuntu-24.04": "ubuntu-24.04 ubuntu debian",
    "linuxmint-22": "debian",
    "lmde-6": "debian",
    "zorin-16": "",
}
BASE = "https://downloads.opennebula.io/repo/6.10"
URLS = {
    "almalinux-8": "AlmaLinux/8/$basearch",
    "almalinux-9": "AlmaLinux/9/$basearch",
    "almalinux-10": "AlmaLinux/10/$basearch",
    "rhel-8": "RedHat/8/$basearch",
    "rhel-9": "RedHat/9/$basearch",
    "rhel-10": "RedHat/10/$basearch",
    "debian-12": "Debian/12",
    "debian-13": "Debian/13",
    "ubuntu-22.04": "Ubuntu/22.04",
    "ubuntu-24.04": "Ubuntu/24.04",
}


class Host:
    """Runs snippets as on a host of some system whose files and commands are in a folder of the test."""

    def __init__(self, folder: Path, system: str, shell: list[str]) -> None:
        self.folder, self.system, self.shell = folder, system, shell
        for name in ("bin", "yum.repos.d"):
            (folder / name).mkdir(exist_ok=True)

    def stand_in(self, command: str, answer: str = "") -> None:
        """Have a command that writes down how it is called, and then does ``answer``."""
        if self.shell[0] == "busybox" and command == "rpm":
            pytest.skip("busybox prefers its own rpm, wherever PATH points")
        path = self.folder / "bin" / command
        path.write_text(f'#!/bin/sh\necho "{command} $*" >>{self.folder}/calls\n{answer}\n')
        path.chmod(0o755)

    def calls(self) -> list[str]:
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def run(self, snippet: str, *, stdin: str = "") -> subprocess.CompletedProcess[str]:
        text = preamble()
        for old, new in (
            ("PATH=/usr/local/sbin:", f"PATH={self.folder}/bin:/usr/local/sbin:"),
            ("/etc/os-release", str(OS_RELEASES / self.system)),
            ("/etc/yum.repos.d", f"{self.folder}/yum.repos.d"),
            ("/var/lib/opennebula-hybrid", f"{self.folder}/state"),
        ):
            assert old in text
            text = text.replace(old, new)
        return subprocess.run(
            [*self.shell, "-c", f"{text}\nset -e\n{snippet}"], input=stdin, text=True, capture_output=True
        )


@pytest.fixture(params=SHELLS, ids=lambda shell: shell[0])
def shell(request: pytest.FixtureRequest) -> list[str]:
    found: list[str] = request.param
    return found


# --- systems ----------------------------------------------------------------------------------------------------------


def test_every_os_release_has_its_row() -> None:
    assert {path.name for path in OS_RELEASES.iterdir()} - {"README.md"} == set(NAMES)
    assert {name for names in NAMES.values() for name in names.split()} <= set(SYSTEMS)


def test_systems_know_their_names(tmp_path: Path, shell: list[str]) -> None:
    found = {system: Host(tmp_path, system, shell).run("system_names").stdout for system in NAMES}
    assert found == NAMES


def test_the_most_exact_value_is_chosen(tmp_path: Path, shell: list[str]) -> None:
    values = {"debian": ["d"], "ubuntu": ["u", "v"], "ubuntu-24.04": ["u24"], "redhat": [], "redhat-8": ["r8"]}
    wanted = {
        "debian-12": "<d>",
        "ubuntu-22.04": "<u><v>",
        "ubuntu-24.04": "<u24>",
        "almalinux-8": "<r8>",
        "almalinux-9": "<>",
        "linuxmint-22": "<d>",
    }
    for system, words in wanted.items():
        done = Host(tmp_path, system, shell).run(f"printf '<%s>' {chosen(values)}")
        assert (done.returncode, done.stdout) == (0, words)


def test_what_is_chosen_for_an_unknown_system_fails_and_says_why(tmp_path: Path, shell: list[str]) -> None:
    done = Host(tmp_path, "oracle-9", shell).run(f"have_packages {chosen({'redhat': ['gnupg2']})}")
    assert done.returncode != 0
    assert "no settings are known for this system: Oracle Linux Server 9.5" in done.stderr
    assert "packages cannot be installed on this system: Oracle Linux Server 9.5" in done.stderr


@pytest.mark.parametrize("values", [{"fedora": ["x"]}, {"debian": ["a b"]}, {"debian": [""]}, {"debian": ["a*"]}])
def test_values_that_could_not_be_chosen_are_refused(values: dict[str, list[str]]) -> None:
    with pytest.raises(ValueError, match=r"is not a (system|plain name)|of debian is not"):
        chosen(values)


# --- packages ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["packages.sh", "dnf.sh", "repository.sh"])
def test_shellcheck_passes(name: str) -> None:
    if not shutil.which("shellcheck"):
        pytest.skip("needs shellcheck")
    path = Path(script_module.__file__).with_name(name)
    done = subprocess.run(["shellcheck", "-s", "sh", str(path)], text=True, capture_output=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_a_check_is_one_process(tmp_path: Path, shell: list[str]) -> None:
    for system, command, answer in (
        ("debian-12", "dpkg-query", "echo installed:one; echo installed:two"),
        ("almalinux-9", "rpm", "exit 0"),
    ):
        host = Host(tmp_path, system, shell)
        host.stand_in(command, answer)
        assert host.run("have_packages one two").returncode == 0
        assert len([call for call in host.calls() if call.startswith(command)]) == 1
        (tmp_path / "calls").unlink()


@pytest.mark.parametrize("state", ["not-installed", "config-files", "half-installed", "unpacked", "half-configured"])
def test_a_package_in_between_is_not_there(tmp_path: Path, shell: list[str], state: str) -> None:
    host = Host(tmp_path, "debian-12", shell)
    host.stand_in("dpkg-query", f"echo installed:one; echo {state}:two")
    done = host.run("have_packages one two")
    assert (done.returncode, done.stdout) == (1, f"two is {state}\n")


def test_no_packages_are_always_there(tmp_path: Path, shell: list[str]) -> None:
    assert Host(tmp_path, "debian-12", shell).run("have_packages").returncode == 0


def test_a_failure_is_told_in_eight_lines_at_most(tmp_path: Path, shell: list[str]) -> None:
    said = "\n".join(f"E: reason {number}" for number in range(20)) + "\nReading state\nNo space left on device"
    done = Host(tmp_path, "debian-12", shell).run(f"said_code=3\nsaid='{said}'\nsay_why ''")
    lines = done.stdout.splitlines()
    assert done.returncode == 3
    assert "E: reason 19" in lines
    assert "Reading state" not in lines
    assert any(line.startswith("disk at /") for line in lines)
    assert len(lines) <= 8


def test_words_that_fit_no_pattern_are_told_nevertheless(tmp_path: Path, shell: list[str]) -> None:
    done = Host(tmp_path, "debian-12", shell).run("said_code=9\nsaid='something strange'\nsay_why 'what to do'")
    assert (done.returncode, done.stdout) == (9, "something strange\nwhat to do\n")


# --- repositories -----------------------------------------------------------------------------------------------------


def test_each_system_has_its_own_address(tmp_path: Path, shell: list[str]) -> None:
    """OpenNebula's documentation, "OpenNebula Repositories" of 6.10, 7.0 and 7.2: one line for each of these."""
    found = {name: Host(tmp_path, name, shell).run(f"repository_url {BASE}").stdout for name in URLS}
    assert found == {name: f"{BASE}/{url}" for name, url in URLS.items()}


@pytest.mark.parametrize("system", ["linuxmint-22", "lmde-6", "zorin-16", "oracle-9"])
def test_a_system_without_packages_is_named(tmp_path: Path, shell: list[str], system: str) -> None:
    done = Host(tmp_path, system, shell).run(f"repository_url {BASE}")
    assert done.returncode == 1
    assert "OpenNebula has no packages for this system: " in done.stderr


OFF = "enabled=0\n"
BUILDERS = [
    ("almalinux-8", "powertools", "dnf -q config-manager --set-enabled powertools"),
    ("almalinux-9", "crb", "dnf -q config-manager --set-enabled crb"),
    ("almalinux-10", "crb", "dnf -q config-manager --set-enabled crb"),
    (
        "rhel-9",
        "codeready-builder-for-rhel-9-rhui-rpms",
        "dnf -q config-manager --set-enabled codeready-builder-for-rhel-9-rhui-rpms",
    ),
    (
        "rhel-9",
        "codeready-builder-for-rhel-9-x86_64-rpms",
        "subscription-manager repos --enable codeready-builder-for-rhel-9-x86_64-rpms",
    ),
    ("rhel-10", "", "subscription-manager repos --enable codeready-builder-for-rhel-10-x86_64-rpms"),
]


@pytest.mark.parametrize(("system", "builder", "call"), BUILDERS)
def test_codeready_builder_is_enabled_as_the_system_does_it(
    tmp_path: Path, shell: list[str], system: str, builder: str, call: str
) -> None:
    host = Host(tmp_path, system, shell)
    for command, answer in (("rpm", ""), ("dnf", ""), ("subscription-manager", ""), ("uname", "echo x86_64")):
        host.stand_in(command, answer)
    text = "[epel]\nname=EPEL\n[epel-debuginfo]\nenabled=0\n[crb-source]\nenabled = 0\n"
    (tmp_path / "yum.repos.d" / "x.repo").write_text(text + (f"[{builder}]\nname=y\n{OFF}" if builder else ""))
    assert host.run("has_extra_repositories").returncode == 1
    done = host.run("put_extra_repositories")
    assert (done.returncode, done.stderr) == (0, "")
    assert host.calls()[-1] == call
    assert not any("epel" in one for one in host.calls())


def test_epel_comes_from_the_system_or_on_rhel_from_fedora(tmp_path: Path, shell: list[str]) -> None:
    for system, package in (
        ("almalinux-9", "epel-release"),
        ("rhel-9", "https://dl.fedoraproject.org/pub/epel/epel-release-latest-9.noarch.rpm"),
    ):
        host = Host(tmp_path, system, shell)
        (tmp_path / "yum.repos.d" / "x.repo").write_text("[crb]\nname=CRB\n")
        host.stand_in("rpm", '[ "$2" != --whatprovides ]')
        host.stand_in("dnf")
        assert host.run("put_extra_repositories").returncode == 0
        assert host.calls()[-1].endswith(f"install {package}")


def test_an_unregistered_rhel_is_told_what_to_do(tmp_path: Path, shell: list[str]) -> None:
    host = Host(tmp_path, "rhel-9", shell)
    host.stand_in("subscription-manager", "echo This system has no repositories available; exit 1")
    (tmp_path / "yum.repos.d" / "x.repo").write_text("[epel]\nname=EPEL\nenabled=1\n")
    done = host.run("put_extra_repositories")
    assert done.returncode == 1
    assert "is this host registered with subscription-manager?" in done.stderr


def test_debian_needs_no_extra_repositories(tmp_path: Path, shell: list[str]) -> None:
    assert Host(tmp_path, "debian-12", shell).run("has_extra_repositories").returncode == 0
