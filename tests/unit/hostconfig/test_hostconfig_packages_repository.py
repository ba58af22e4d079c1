"""Role opennebula-repository: what its parameters become, and what is refused."""

from __future__ import annotations

import pytest

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.hostconfig import repository
from hybrid_drivers.hostconfig.facts import Facts
from hybrid_drivers.hostconfig.roles import steps_of
from hybrid_drivers.hostconfig.roles.opennebula_repository import uses_repository
from hybrid_drivers.hostconfig.script import render
from hybrid_drivers.hostconfig.steps import Step

DEFAULT = "https://downloads.opennebula.io/repo"


def role(front_end: str = "6.10.4", **given: str) -> list[Step]:
    values = {f"opennebula_repository_{name}": value for name, value in given.items()}
    return list(steps_of("opennebula-repository", Facts(opennebula_version=front_end, given=values)))


@pytest.mark.parametrize(
    ("front_end", "given", "url"),
    [
        ("6.10.4", {}, f"{DEFAULT}/6.10"),
        ("7.4.0", {}, f"{DEFAULT}/7.4"),
        ("7.0", {}, f"{DEFAULT}/7.0"),
        ("0", {}, f"{DEFAULT}/0"),
        ("7.4.0", {"version": "6.10.0"}, f"{DEFAULT}/6.10.0"),
        ("", {"version": "6.10"}, f"{DEFAULT}/6.10"),
        ("6.10.4", {"base": "http://mirror/{{ opennebula_repository_version }}/x/"}, "http://mirror/6.10/x"),
        ("6.10.4", {"base": "http://mirror/{{opennebula_repository_version}}"}, "http://mirror/6.10"),
        ("", {"base": "http://mirror:8080/one"}, "http://mirror:8080/one"),
    ],
)
def test_the_address_is_made_of_base_and_version(front_end: str, given: dict[str, str], url: str) -> None:
    assert role(front_end, **given)[-1].check == f"repository_is '{url}' 1 1"


@pytest.mark.parametrize(
    ("front_end", "given", "text"),
    [
        ("", {}, "set opennebula_repository_version .* or opennebula_repository_enabled to no"),
        ("6.10.4", {"version": "latest"}, "opennebula_repository_version is 'latest'"),
        ("6.10.4", {"base": "http://x/ y"}, "opennebula_repository_base is"),
        ("6.10.4", {"base": "http://x]\ndeb evil"}, "opennebula_repository_base is"),
        ("6.10.4", {"base": "ftp://x"}, "opennebula_repository_base is"),
        ("6.10.4", {"base": "http://me:a%0Ab%0Ac@x"}, "password of several lines"),
        ("6.10.4", {"key_url": "/etc/key"}, "opennebula_repository_key_url is"),
        ("6.10.4", {"key_fingerprint": ""}, "opennebula_repository_key_fingerprint is ''"),
        ("6.10.4", {"key_fingerprint": "05A05927906DC27C"}, "expected whole fingerprints"),
        ("6.10.4", {"gpgcheck": "maybe"}, "expected yes or no"),
        ("6.10.4", {"enabled": "perhaps"}, "opennebula_repository_enabled is 'perhaps'"),
    ],
)
def test_values_that_do_not_fit_are_refused(front_end: str, given: dict[str, str], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        role(front_end, **given)


def test_fingerprints_are_read_as_people_write_them() -> None:
    spaced = "0B2D 385C 7C93 04B1 1A03  67B9 05A0 5927 906D C27C"
    both = repository.fingerprints(f"{spaced}, 0x{repository.FINGERPRINT.lower()}")
    assert both == (repository.FINGERPRINT, repository.FINGERPRINT)
    assert f"'{repository.FINGERPRINT}'" in role()[-2].apply


@pytest.mark.parametrize(
    ("given", "arguments", "key"),
    [
        ({}, "1 1", True),
        ({"gpgcheck": "no"}, "0 1", True),  # dnf still checks the metadata; with apt key_is_wanted says no
        ({"repo_gpgcheck": "no"}, "1 0", True),
        ({"gpgcheck": "no", "repo_gpgcheck": "no"}, "0 0", False),
    ],
)
def test_the_key_is_fetched_only_when_something_is_checked(given: dict[str, str], arguments: str, key: bool) -> None:
    steps = role(**given)
    assert steps[-1].check.endswith(arguments)
    assert ("trust the key of the repository" in [step.name for step in steps]) is key


def test_disabled_needs_no_version_and_only_removes() -> None:
    assert [step.name for step in role("", enabled="no")] == ["have no repository of OpenNebula"]
    assert not uses_repository(Facts(given={"opennebula_repository_enabled": "no"}))
    assert uses_repository(Facts())


def test_a_password_is_never_an_argument_nor_shown() -> None:
    step = role(base="https://me:se%3Acret@enterprise.opennebula.io/repo/6.10")[-1]
    assert step.stdin == "me\nse:cret\n"
    assert "cret" not in step.check + step.apply + repr(step) + repr(render([step]))
    assert "https://enterprise.opennebula.io/repo/6.10" in step.apply
    with pytest.raises(ConfigError) as caught:
        role(base="https://me:secret@enter prise")
    assert "secret" not in str(caught.value)
