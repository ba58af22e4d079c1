"""The front-end's keys: found where OpenNebula keeps them, made once, never half."""

from __future__ import annotations

import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hybrid_drivers.agent.keys import FrontEndKeys
from hybrid_drivers.errors import ConfigError


@pytest.fixture
def keys(tmp_path: Path) -> FrontEndKeys:
    (tmp_path / "state").mkdir()
    (tmp_path / "home/.ssh").mkdir(parents=True)
    return FrontEndKeys(tmp_path / "state", tmp_path / "home")


def make_key(path: Path, kind: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "", "-f", str(path)], check=True)
    return " ".join(path.with_name(path.name + ".pub").read_text().split()[:2])


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_the_public_line_is_ssh_keygens(keys: FrontEndKeys, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"home/.ssh/id_{kind}"
    public = make_key(path, kind)
    path.with_name(path.name + ".pub").unlink()
    assert keys.private_key({}) == path
    assert keys.public_lines({}) == [public]


def test_a_key_that_cannot_be_read_is_told_with_its_path(keys: FrontEndKeys, tmp_path: Path) -> None:
    path = tmp_path / "home/.ssh/id_rsa"
    path.write_bytes(b"\xff\xfe")
    for read in (keys.private_text, keys.public_lines):
        with pytest.raises(ConfigError, match=f"the key {path} cannot be read"):
            read({})


def test_oneprovisions_key_comes_before_oneadmins_own(keys: FrontEndKeys, tmp_path: Path) -> None:
    make_key(tmp_path / "home/.ssh/id_ed25519", "ed25519")
    make_key(tmp_path / "home/.ssh-oneprovision/id_rsa", "rsa")
    assert keys.private_key({}) == tmp_path / "home/.ssh-oneprovision/id_rsa"


def test_the_host_may_name_another_and_further_ones(keys: FrontEndKeys, tmp_path: Path) -> None:
    named, further = make_key(tmp_path / "named", "ed25519"), make_key(tmp_path / "further", "ed25519")
    connection = {"PRIVATE_KEY": str(tmp_path / "named"), "PUBLIC_KEY": str(tmp_path / "further.pub")}
    assert keys.public_lines(connection) == [named, further]
    assert keys.public_lines({**connection, "PUBLIC_KEY": further}) == [named, further]


def test_a_key_that_is_not_there_is_named(keys: FrontEndKeys) -> None:
    with pytest.raises(ConfigError, match="/nowhere/id"):
        keys.private_key({"PRIVATE_KEY": "/nowhere/id"})


def test_without_any_key_one_is_made_once(keys: FrontEndKeys, tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        lines = list(pool.map(lambda _: keys.public_lines({})[0], range(16)))
    assert len(set(lines)) == 1
    path = keys.private_key({})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(one.name for one in path.parent.iterdir()) == ["id_ed25519"]
    told = subprocess.run(["ssh-keygen", "-y", "-f", str(path)], capture_output=True, text=True, check=True)
    assert told.stdout.split()[:2] == lines[0].split()


def test_a_token_has_one_host_key_on_this_front_end(keys: FrontEndKeys, tmp_path: Path) -> None:
    first = keys.host_key("token-1")
    assert FrontEndKeys(tmp_path / "state", tmp_path / "home").host_key("token-1") == first
    assert keys.host_key("token-2").public != first.public
    (tmp_path / "other").mkdir()
    assert FrontEndKeys(tmp_path / "other", tmp_path / "home").host_key("token-1").public != first.public
    assert "PRIVATE" not in repr(first)
