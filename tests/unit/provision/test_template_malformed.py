"""Wrong templates of every kind: each gives sentences with file, line and key, and never another exception."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.provision.template.expand import expand_hosts
from hybrid_drivers.provision.template.load import load_template, parse_template
from hybrid_drivers.provision.template.model import KINDS, ProvisionTemplate, TemplateError
from hybrid_drivers.provision.template.validate import validate

CORPUS = Path(__file__).parents[2] / "data" / "provision" / "malformed.txt"


def cases() -> list[tuple[str, str]]:
    parts = re.split(r"^#### ", CORPUS.read_text(), flags=re.MULTILINE)[1:]
    return [(part.partition("\n")[0], part.partition("\n")[2]) for part in parts]


CASES = cases()


def all_problems(text: str) -> list[str]:
    """Return what is said of a template, as 'oneprovision validate' finds it."""
    try:
        found = validate(parse_template(text, "t"), None, {})
    except TemplateError as exc:
        found = list(exc.problems)
    for problem in found:
        assert problem.file == "t"
        assert problem.line >= 1
        assert "\n" not in problem.text
        assert len(str(problem)) < 700
    return [str(problem) for problem in found]


def test_the_corpus_is_large() -> None:
    assert len(CASES) >= 200


@pytest.mark.parametrize(("expected", "text"), CASES, ids=[f"{at}: {case[0][:60]}" for at, case in enumerate(CASES)])
def test_malformed(expected: str, text: str) -> None:
    said = all_problems(text)
    assert any(expected in one for one in said), said


def test_each_of_the_corpus_is_wrong_in_one_way_only() -> None:
    """What is said beyond the mistake would send people looking for others."""
    more = {expected: said for expected, text in CASES if len(said := all_problems(text)) > 1}
    assert {expected: said for expected, said in more.items() if len(said) > 3} == {}
    assert len(more) <= 12


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "large.yaml").write_text("name: x\n#" + "x" * 2**20)
    (tmp_path / "latin.yaml").write_bytes(b"name: caf\xe9\n")
    (tmp_path / "folder.yaml").mkdir()
    for name, sentence in {
        "large": "large.yaml:1: larger than 1 MiB",
        "latin": "latin.yaml:1: cannot be read: it is not UTF-8 text",
        "folder": "folder.yaml:1: cannot be read: Is a directory",
        "none": "none.yaml:1: cannot be read: No such file or directory",
    }.items():
        with pytest.raises(TemplateError, match=re.escape(sentence)):
            load_template(tmp_path / f"{name}.yaml", [])


@pytest.mark.parametrize(
    "value", ["nothing.yaml", "../../../../etc/hostname", "/", ".", "", "a" * 5000, '"a\\0b"', "[., nothing.yaml]"]
)
def test_parents_that_cannot_be_read(tmp_path: Path, value: str) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(f"name: x\nextends: {value}\n")
    with contextlib.suppress(TemplateError):
        load_template(path, [tmp_path])
        assert value == ""


words = st.sampled_from(
    ["name", "x", "cluster", "hosts", "networks", "datastores", "images", "templates", "defaults", "provision", "ar",
     "configuration", "connection", "meta", "inputs", "im_mad", "vm_mad", "kvm", "count", "hostname", "size", "ip",
     "<<", "&a", "*a", "!b", "yes", "~", "[", "]", "{", "}", ":", ",", "-", "\n", "  ", "'", '"', "|", ">", "#", "%",
     "${provision}", "${input.n}", "${image.0.id}", "<%= @name %>", "<%", "0x1", "1_0", "é", "\t", "---", "...", "?"]
)  # fmt: skip
soup = st.lists(words, max_size=40).map(" ".join)


@settings(deadline=None)
@given(st.one_of(st.text(max_size=200), soup))
def test_any_text_is_a_template_or_a_sentence(text: str) -> None:
    all_problems(text)


leaves = st.one_of(st.none(), st.booleans(), st.integers(-5, 99999), words, st.text(max_size=5))
trees = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3), max_leaves=12
)
section = st.dictionaries(words, trees, max_size=4)
mads = {"im_mad": "kvm", "vm_mad": "kvm", "tm_mad": "ssh", "vn_mad": "bridge"}
objects = section.map(lambda one: {**mads, **one})


@settings(deadline=None)
@given(
    st.fixed_dictionaries(
        {"name": st.just("x")},
        optional={
            **{kind: st.lists(objects, max_size=2) for kind in KINDS if kind != "clusters"},
            "cluster": section,
            "defaults": st.dictionaries(st.sampled_from(["provision", "connection", "configuration"]), section),
            "inputs": st.lists(section, max_size=2),
            "playbook": trees,
        },
    )
)
def test_any_tree_is_a_template_or_sentences(tree: dict[str, object]) -> None:
    import yaml

    text = yaml.safe_dump(tree, allow_unicode=True)
    all_problems(text)
    template: ProvisionTemplate | None = None
    with contextlib.suppress(ConfigError):
        template = parse_template(text, "t")
    if template:
        with contextlib.suppress(ConfigError):
            expand_hosts(template)
