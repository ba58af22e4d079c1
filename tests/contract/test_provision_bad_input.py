"""Wrong templates and wrong words, given to the real commands: sentences, exit code 255, and nothing is ever made."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.examples import examples
from tests.support.provisions import SMALL, entry, site_of

from hybrid_drivers.cli.provision.group import provision
from hybrid_drivers.oned.api import Oned
from hybrid_drivers.sandbox.frontend import Frontend

CORPUS = Path(__file__).parents[1] / "data/provision/malformed.txt"
CASES = [part.partition("\n") for part in re.split(r"^#### ", CORPUS.read_text(), flags=re.MULTILINE)[1:]]
WORDS = ("name", "hosts", "cluster", "networks", "inputs", "provision", "count", "playbook", "extends", "im_mad", "ar")


@pytest.fixture(scope="module")
def front_end(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Frontend]:
    with Frontend(tmp_path_factory.mktemp("one"), repository=None) as started:
        entry(started)
        with site_of(started):
            yield started


@pytest.fixture
def nothing_is_written(front_end: Frontend) -> Iterator[None]:
    """Fail when anything is written to oned: nothing of what these tests do may."""
    refused = mock.Mock(side_effect=AssertionError("something is written to oned"))
    with mock.patch.object(Oned, "write", refused):
        yield
    assert not refused.called
    assert (front_end.store.documents, front_end.store.hosts) == ({}, {})


pytestmark = pytest.mark.usefixtures("nothing_is_written")


def run(*words: str) -> Result:
    result = CliRunner().invoke(provision, list(words))
    assert isinstance(result.exception, (SystemExit, type(None))), (words, result.exception)
    return result


def refused(*words: str) -> str:
    """Run a command that must fail, and return what it says."""
    result = run(*words)
    assert result.exit_code == 255, (words, result.output)
    assert "Traceback" not in result.output
    assert "does not expect" not in result.output
    return result.output


def test_a_good_one_is_not_refused(tmp_path: Path) -> None:
    file = tmp_path / "t"
    file.write_text(SMALL.replace(", plan: c3.small.x86, os: debian_12, metro: am", ""))
    result = run("validate", str(file))
    assert (result.exit_code, result.output) == (0, f"{file} is a valid template.\n")


def test_no_template_of_the_corpus_makes_anything(tmp_path: Path) -> None:
    file = tmp_path / "t"
    for expected, _, text in CASES:
        file.write_text(text)
        said = refused("create", str(file), "--batch")
        assert str(file) in said or "input" in said, (expected, said)


def test_validate_says_the_same(tmp_path: Path) -> None:
    file = tmp_path / "t"
    for expected, _, text in CASES[::7]:
        file.write_text(text)
        assert expected.partition(": ")[2] in refused("validate", str(file))


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--user-inputs", "no_such=1"], "there is no input 'no_such'"),
        (["--user-inputs", "=x"], "input"),
        (["--fail-modes", "retry,nap"], "unknown fail mode 'nap'"),
        (["--fail-skip", "--fail-quit"], "--fail-"),
        (["--fail-retry", "-1"], "-1"),
        (["--provider", "nobody"], "there is no provider 'nobody'"),
        (["--name", "a/b"], "cannot be the name of a provision"),
        (["--name", "$(touch x)"], "cannot be the name of a provision"),
        (["--name", "x" * 200], "cannot be the name of a provision"),
        (["--wait-timeout", "soon"], "soon"),
        (["--frobnicate"], "No such option"),
    ],
)
def test_words_that_do_not_fit(tmp_path: Path, words: list[str], part: str) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(SMALL.replace(", plan: c3.small.x86, os: debian_12, metro: am", ""))
    assert part in refused("create", str(file), *words)


def test_files_that_are_no_templates(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(bytes(range(256)) * 10)
    (tmp_path / "large").write_text("name: x\n#" + "x" * 2**20)
    (tmp_path / "bomb").write_text("a: &a [x, x]\n" + "".join(f"b{n}: &b{n} [*a, *a]\n" for n in range(30)))
    for name in ("binary", "large", "bomb", "absent", "."):
        assert refused("create", str(tmp_path / name)).count("\n") <= 40


def test_names_that_a_shell_would_run_touch_nothing(tmp_path: Path) -> None:
    file = tmp_path / "t"
    for name in ("$(touch x)", "`touch x`", "a; touch x", "../../x", "a\\nb", "\\u202e"):
        file.write_text(f'name: edge\nhosts: [{{im_mad: kvm, vm_mad: kvm, provision: {{hostname: "{name}"}}}}]\n')
        refused("create", str(file))
    assert [path.name for path in tmp_path.iterdir()] == ["t"]


def test_more_hosts_than_there_can_be(tmp_path: Path) -> None:
    file = tmp_path / "t"
    file.write_text("name: edge\nhosts: [{im_mad: kvm, vm_mad: kvm, provision: {count: 10001}}]\n")
    assert "10000" in refused("create", str(file))


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=examples(20), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=st.dictionaries(st.sampled_from(WORDS[1:]), TREES, max_size=5))
def test_any_tree_without_a_name_is_refused(tmp_path: Path, tree: dict[str, object]) -> None:
    file = tmp_path / "t"
    file.write_text(json.dumps(tree))
    refused("create", str(file), "--batch")
