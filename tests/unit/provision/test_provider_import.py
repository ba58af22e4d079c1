"""Taking over providers of OneProvision 6.x: documents of type 102, which stay as they are."""

from __future__ import annotations

import json

import pytest
from tests.support.provider_site import ProviderSite, site
from tests.support.providers import CANARY

from hybrid_drivers.secret import Secret

__all__ = ["site"]  # the fixture
EQUINIX = {
    "provider": "equinix",
    "connection": {"token": CANARY, "project": "p1", "metro": "am"},
    "registration_time": 1700000000,
    "name": "equinix-amsterdam",
    "description": "Amsterdam",
    "inputs": [{"name": "equinix_plan", "type": "list", "options": ["c3.small"]}],
}
AWS = {"provider": "aws", "connection": {"access_key": "a", "secret_key": CANARY, "region": "eu-central-1"}}


def theirs(site: ProviderSite, name: str, body: object, kind: int = 102) -> int:
    return site.document(name, body if isinstance(body, str) else json.dumps(body), kind)


def raw(site: ProviderSite, document_id: int) -> str:
    return str(site.frontend.call("one.document.info", document_id, False)[1])


def test_all_there_are_and_again(site: ProviderSite) -> None:
    first = theirs(site, "equinix-amsterdam", EQUINIX)
    second = theirs(site, "aws-frankfurt", AWS)
    before = [raw(site, first), raw(site, second)]
    told = site.ok("import", "--no-check").splitlines()
    assert told == [
        f"document {first} is provider 2 equinix-amsterdam now, driver packet: not checked",
        f"document {second} is provider 3 aws-frankfurt now, driver ec2: not checked",
    ]
    entry = site.directory.entry("equinix-amsterdam")
    assert (entry.settings["token"], entry.defaults) == (Secret(CANARY), {"METRO": "am"})
    assert entry.settings["inputs"] == tuple(EQUINIX["inputs"])  # type: ignore[arg-type] # a list
    again = site.ok("import", "--no-check", str(first)).splitlines()
    assert again == [f"document {first} was imported before: it is provider 2 equinix-amsterdam"]
    assert [raw(site, first), raw(site, second)] == before
    assert len(site.oned.documents(702)) == 2


def test_owner_and_permissions_stay(site: ProviderSite) -> None:
    document = theirs(site, "aws", AWS)
    site.objects.chmod("document", document, 0o640)
    site.objects.chown("document", document, 0, 1)
    site.ok("import", "--no-check", str(document))
    [made] = site.directory.records()
    assert (made.mode, made.owner, made.group, made.imported) == (0o640, "oneadmin", "users", str(document))


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("{", "is no provider of OneProvision 6.x: its body is not JSON with 'provider'"),
        ("[]", "is no provider of OneProvision 6.x"),
        ("", "is no provider of OneProvision 6.x"),
        ({"name": "a"}, "is no provider of OneProvision 6.x"),
        ({"provider": "aws"}, "key 'connection' is missing: it holds the credentials"),
        ({"provider": "google", "connection": {}}, "OneProvision's provider 'google' has no driver here"),
        ({**AWS, "connection": {"access_key": "a", "region": "x"}}, "key 'secret_key' is missing"),
        ({**AWS, "connection": [CANARY]}, "key 'connection' must be a mapping"),
        ({"provider": "onprem"}, "provider onprem lists no machines"),
    ],
)
def test_what_is_no_such_provider_is_refused_in_a_sentence(site: ProviderSite, body: object, told: str) -> None:
    document = theirs(site, "odd", body)
    found = site.refused("import", "--no-check", str(document))
    assert told in found
    assert found.startswith(f"document {document}")
    assert "\n" not in found
    assert site.oned.documents(702) == []


def test_other_documents_are_left_alone(site: ProviderSite) -> None:
    for kind in (103, 104, 702):
        document = theirs(site, f"of-{kind}", AWS, kind)
        assert site.refused("import", str(document)) == (
            f"document {document} is no provider of OneProvision 6.x: its type is {kind}, not 102"
        )
    assert site.refused("import", "77") == "there is no document 77"
    assert site.ok("import") == "There is no document of type 102 to import.\n"


def test_one_that_fails_does_not_stop_the_others(site: ProviderSite) -> None:
    bad, good = theirs(site, "bad", "{"), theirs(site, "good", AWS)
    result = site.run("import", "--no-check")
    assert result.exit_code == 255
    assert f"document {good} is provider 2 good now" in result.output
    assert f"document {bad} (bad) is no provider" in result.output


def test_a_name_that_cannot_be_one_of_ours_is_given_another(site: ProviderSite) -> None:
    document = theirs(site, "AWS in Frankfurt", AWS)
    assert "give one with --name" in site.refused("import", "--no-check", str(document))
    assert "is provider 1 aws now" in site.ok("import", "--no-check", str(document), "--name", "aws")
    assert site.refused("import", "--name", "x") == "--name is for one ID"


def test_onprem_is_believed_when_the_operator_says_so(site: ProviderSite) -> None:
    document = theirs(site, "onprem", {"provider": "onprem", "name": "onprem"})
    told = site.ok("import", "--trust-first-use", str(document))
    assert (
        told
        == f"document {document} is provider 1 onprem now, driver static: driver static has no credentials to check\n"
    )
    assert site.directory.entry("onprem").settings == {"any_address": True, "trust_first_use": True}


def test_credentials_that_cannot_be_checked_are_not_stored(site: ProviderSite) -> None:
    connection = {**AWS["connection"], "endpoint": "http://127.0.0.1:9"}  # type: ignore[dict-item] # a mapping
    document = theirs(site, "aws", {**AWS, "connection": connection})
    assert "cannot be reached" in site.refused("import", str(document))
    assert site.oned.documents(702) == []
