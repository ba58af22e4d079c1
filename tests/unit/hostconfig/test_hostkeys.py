"""Host keys made from a seed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import load_ssh_private_key
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.examples import examples

from hybrid_drivers.hostconfig.hostkeys import HostKey, generate


@given(st.binary(min_size=32, max_size=32))
@settings(max_examples=examples(15))
def test_the_same_seed_gives_the_same_bytes_and_a_whole_key(seed: bytes) -> None:
    key = generate(seed)
    assert key == generate(seed)
    loaded = load_ssh_private_key(key.private_openssh.encode(), password=None)
    text = loaded.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    assert text.decode() == key.public


def test_openssh_reads_it(tmp_path: Path) -> None:
    key = generate(bytes(range(32)))
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_text(key.private_openssh)
    done = subprocess.run(["ssh-keygen", "-y", "-f", str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.split()[:2] == key.public.split()


def test_seeds_differ() -> None:
    assert generate(b"a" * 32) != generate(b"b" * 32)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_seed_has_32_bytes(length: int) -> None:
    with pytest.raises(ValueError, match="32"):
        generate(b"x" * length)


def test_the_private_part_is_not_shown() -> None:
    key: HostKey = generate(b"a" * 32)
    assert "PRIVATE" not in repr(key)
    assert key.public in repr(key)
