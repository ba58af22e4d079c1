"""Inputs: their types, where values come from, and how the command line writes them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.provision.template.inputs import answered, collect, parse_user_inputs
from hybrid_drivers.provision.template.load import parse_template
from hybrid_drivers.provision.template.model import InputSpec


def inputs(text: str) -> tuple[InputSpec, ...]:
    return parse_template(f"name: x\ninputs:\n{text}", "t").inputs


LIST = "- {name: i, type: list, options: [kvm, lxc]"
RANGE = "- {name: i, type: range, min_value: 1, max_value: 9"


@pytest.mark.parametrize(
    ("spec", "value", "expected"),
    [
        ("- {name: i}", "any, thing", "any, thing"),
        ("- {name: i}", "", ""),
        ("- {name: i, type: text64}", "YWJj", "YWJj"),
        ("- {name: i, type: password}", "p", "p"),
        ("- {name: i, type: boolean}", "yes", "YES"),
        ("- {name: i, type: boolean}", "False", "NO"),
        ("- {name: i, type: number}", "-7", "-7"),
        ("- {name: i, type: number-float}", "2.5", "2.5"),
        (RANGE + "}", "9", "9"),
        ("- {name: i, type: range, options: 1..9}", "1", "1"),
        ("- {name: i, type: range-float, options: 0.5..1}", "0.75", "0.75"),
        (LIST + "}", "lxc", "lxc"),
        ("- {name: i, type: list, options: 'kvm, lxc'}", "lxc", "lxc"),
        ("- {name: i, type: list, options: [1, yes]}", "YES", "YES"),
        ("- {name: i, type: array}", "a;b", "a;b"),
        ("- {name: i, type: fixed, default: f}", "f", "f"),
        ("- {name: i, type: number, mandatory: no}", "", ""),
    ],
)
def test_values_that_fit(spec: str, value: str, expected: str) -> None:
    assert collect(inputs(spec), {"i": value}, None) == {"i": expected}


@pytest.mark.parametrize(
    ("spec", "value", "sentence"),
    [
        ("- {name: i, type: boolean}", "maybe", "input 'i' must be YES or NO, not 'maybe'"),
        ("- {name: i, type: number}", "2.5", "a whole number, not '2.5'"),
        ("- {name: i, type: number}", "1" * 40, "a whole number"),
        ("- {name: i, type: number-float}", "nan", "a number, not 'nan'"),
        ("- {name: i, type: number-float}", "1_0", "a number"),
        (RANGE + "}", "10", "a whole number from 1 to 9, not '10'"),
        (RANGE + "}", "x", "a whole number"),
        (LIST + "}", "xen", "one of kvm, lxc, not 'xen'"),
        ("- {name: i, type: array}", " ; ", "a list like a;b;c"),
        ("- {name: i, type: fixed, default: f}", "g", "left as it is"),
    ],
)
def test_values_that_do_not_fit(spec: str, value: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        collect(inputs(spec), {"i": value}, None)
    assert sentence in str(caught.value)


def test_a_secret_is_not_shown() -> None:
    for spec in ("- {name: my_token, type: number}", "- {name: api_secret, type: list, options: [a]}"):
        (one,) = inputs(spec)
        with pytest.raises(ConfigError) as caught:
            collect([one], {one.name: "TOPSECRET"}, None)
        assert "TOPSECRET" not in str(caught.value)


def test_values_are_given_then_asked_for_then_the_default() -> None:
    specs = inputs("- {name: a, default: 1}\n- {name: b, default: 2}\n- {name: c, default: 3, type: fixed}\n")
    assert collect(specs, {"a": "9"}, None) == {"a": "9", "b": "2", "c": "3"}
    asked: list[str] = []

    def ask(spec: InputSpec) -> str:
        asked.append(spec.name)
        return {"a": "", "b": "8"}[spec.name]

    assert collect(specs, {}, ask) == {"a": "1", "b": "8", "c": "3"}
    assert asked == ["a", "b"]


def test_nothing_typed_is_the_types_own_value() -> None:
    specs = inputs(
        f"- {{name: b, type: boolean}}\n- {{name: n, type: number}}\n{LIST}}}\n{RANGE.replace(': i', ': r')}}}"
    )
    assert collect(specs, {}, lambda _: "") == {"b": "NO", "n": "0", "i": "kvm", "r": "1"}


def test_typed_text64_is_encoded() -> None:
    (spec,) = inputs("- {name: i, type: text64, default: abc}")
    assert answered(spec, "xyz") == "eHl6"
    assert answered(spec, "") == "YWJj"


def test_all_that_is_wrong_is_said_at_once() -> None:
    specs = inputs("- {name: count, type: number}\n- {name: other}\n- {name: list, type: array, mandatory: no}")
    with pytest.raises(ConfigError) as caught:
        collect(specs, {"cuont": "1", "count": "x"}, None)
    assert str(caught.value) == (
        "there is no input 'cuont'; did you mean 'count'?; input 'count' must be a whole number, not 'x'; "
        "input 'other' has no value: give one with --user-inputs other=VALUE"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("a=b", {"a": "b"}),
        ("a=b,c=d=e,f=", {"a": "b", "c": "d=e", "f": ""}),
        (r"a=1\,2,b=\\x\y", {"a": "1,2", "b": r"\x\y"}),
        ('a="1,2",b=\'"\',c=x"y', {"a": "1,2", "b": '"', "c": 'x"y'}),
        (r'a="x\"y"', {"a": 'x"y'}),
        (" a=b, c=d", {"a": "b", "c": "d"}),
    ],
)
def test_user_inputs_are_read(text: str, expected: dict[str, str]) -> None:
    assert parse_user_inputs(text) == expected


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a", "'a' is not"),
        ("a=b,,c=d", "must be like name=value"),
        ("a=b,c", "'c' is not"),
        ("=b", "'=b' is not"),
        ("a b=c", "is not"),
        ("a=1,a=2", "gives 'a' twice"),
        ('a="x', "a quote is not closed"),
        ('a="x"y', "there must be a comma"),
    ],
)
def test_user_inputs_that_cannot_be_read(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_user_inputs(text)
    assert sentence in str(caught.value)


@given(st.dictionaries(st.text("abc_-19", min_size=1), st.text(max_size=8), max_size=4), st.booleans())
def test_written_user_inputs_read_back(values: dict[str, str], quoted: bool) -> None:
    def write(value: str) -> str:
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("'", "\\'")
        return f'"{escaped}"' if quoted else escaped.replace(",", "\\,")

    assert parse_user_inputs(",".join(f"{name}={write(value)}" for name, value in values.items())) == values


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ConfigError):
        parse_user_inputs(text)
