"""Both grammars of expressions, and that nothing else is taken for one."""

from __future__ import annotations

import pytest

from hybrid_drivers.provision.template.expressions import Scope, evaluate, references
from hybrid_drivers.provision.template.grammar import Reference
from hybrid_drivers.provision.template.model import Place, TemplateError

HERE = Place(file="t.yaml", line=7, key="images.0.ds_id")
SCOPE = Scope(
    name="edge",
    provision_id=12,
    index=3,
    provider="am",
    inputs={"plan": "c3", "number-hosts": "2"},
    objects={
        "clusters": [{"ID": "100", "NAME": "edge"}],
        "datastores": [
            {"ID": "104", "NAME": "edge-image", "TM_MAD": "ssh", "PROVISION": {"PLAN": "c3", "PROVISION_ID": "12"}},
            {"ID": "105", "NAME": "edge-system", "AR": [{"IP": "192.0.2.1"}, {"IP": "192.0.2.9"}]},
        ],
        "networks": [],
    },
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain $NAME text {x} 100%", "plain $NAME text {x} 100%"),
        ("${provision}", "edge"),
        ("${provision}-${provision_id}-h${index}", "edge-12-h3"),
        ("${provider}", "am"),
        ("${input.plan}x${input.number-hosts}", "c3x2"),
        ("${cluster.0.id}", "100"),
        ("${datastore.edge-system.id}", "105"),
        ("${datastore.-1.name}", "edge-system"),
        ("${datastore.0.tm_mad}", "ssh"),
        ("${datastore.0.plan}", "c3"),  # looked for in PROVISION last
        ("${updates.first_host}", "${updates.first_host}"),  # not known yet: stays
        ("<%= @name %>", "edge"),
        ("<%=@name%>-<%= @id %>", "edge-12"),
        ("<%= @datastores[0]['ID'] %>", "104"),
        ('<%= @datastores[1]["NAME"] %>', "edge-system"),
        ("<%= @datastores[0]['TEMPLATE']['TM_MAD'] %>", "ssh"),
        ("<%= @datastores[0]['TEMPLATE/PROVISION/PLAN'] %>", "c3"),
        ("<%= @datastores[1]['AR'][1]['IP'] %>", "192.0.2.9"),
        ("<%= @datastores.first.id %>,<%= @datastores.last['ID'] %>", "104,105"),
        ("<%= @clusters[0].id.to_s %>", "100"),
        ("${unclosed", "${unclosed"),
        ("", ""),
    ],
)
def test_values(text: str, expected: str) -> None:
    assert evaluate(text, SCOPE, HERE) == expected


def test_what_ansible_found_is_filled_in_when_it_is_known() -> None:
    scope = Scope(name="x", updates={"default_ipv4_nic": "eno1"})
    assert evaluate("${updates.default_ipv4_nic}", scope, HERE) == "eno1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${provison}", "${provison} is not known; did you mean 'provision'?"),
        ("a ${HOME}", "at character 3: ${HOME} is not known"),
        ("${}", "${} is not known"),
        ("${input.a.b}", "'input' is not known"),
        ("${input.a b}", "letters, digits"),
        ("${datastores.0.id}", "'datastores' is not known; did you mean 'datastore'?"),
        ("${datastore.0}", "must be like ${datastore.NAME.ATTRIBUTE}"),
        ("${datastore.0.template.x}", "must be like"),
        ("${vm.0.id}", "'vm' is not known"),
        ("${updates.x}", "${updates.x} is not known"),
        ("${`id`}", "is not known"),
        ("<%= @datastores[0] %>", "must say which attribute, like @datastores[0]['ID']"),
        ("<%= @datastores['ID'] %>", "must say which one, like @datastores[0]"),
        ("<%= @datastore[0]['ID'] %>", "'@datastore' is not known; did you mean 'datastores'?"),
        ("<%= @name['x'] %>", "'@name' is not known"),
        ("<%= `id` %>", "code is never run"),
        ("<%= 1 + 1 %>", "code is never run"),
        ("<%= @name; system('id') %>", "code is never run"),
        ("<%= @name.instance_eval('1') %>", "code is never run"),
        ("<%= @datastores.map(&:id) %>", "code is never run"),
        ("<%= @datastores[0]['#{`id`}'].x %>", "code is never run"),
        ("<% if true %>", "at character 1: <% if true %> is not understood"),
        ("x <%# a comment %>", "at character 3: <%# a comment %> is not understood"),
        ("<%== @name %>", "is not understood"),
        ("<%- @name -%>", "is not understood"),
        ("<%= @name", "'<%' is not closed with '%>'"),
        ("<%= @name %> <% ", "at character 14: '<%' is not closed"),
    ],
)
def test_what_is_not_of_the_grammar_is_refused_with_its_place(text: str, expected: str) -> None:
    with pytest.raises(TemplateError) as caught:
        evaluate(text, SCOPE, HERE)
    (problem,) = caught.value.problems
    assert (problem.file, problem.line, problem.key) == ("t.yaml", 7, "images.0.ds_id")
    assert expected in problem.text
    with pytest.raises(TemplateError):
        references(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${input.nothing}", "there is no value for input 'nothing'"),
        ("${network.0.id}", "there is no such object of networks yet (there are: none)"),
        ("${image.x.id}", "no such object of images yet"),
        ("${datastore.7.id}", "(there are: edge-image, edge-system)"),
        ("<%= @datastores[-3]['ID'] %>", "no such object"),
        ("${datastore.0.size}", "no attribute SIZE (there are: ID, NAME, PROVISION, TM_MAD)"),
        ("<%= @datastores[0]['PROVISION'] %>", "no attribute PROVISION"),
        ("<%= @datastores[1]['AR'][5]['IP'] %>", "no attribute AR/5/IP"),
    ],
)
def test_what_is_not_there_is_said(text: str, expected: str) -> None:
    with pytest.raises(TemplateError) as caught:
        evaluate(text, SCOPE, HERE)
    assert expected in str(caught.value)


def test_index_and_id_are_known_only_where_there_is_one() -> None:
    for text in ("${index}", "${provision_id}"):
        with pytest.raises(TemplateError, match="is not known here"):
            evaluate(text, Scope(name="x"), HERE)


def test_references_are_listed_in_order() -> None:
    text = "${provision}${datastore.a-b.id} <%= @images[1]['TEMPLATE']['PATH'] %> ${input.n} ${updates.first_host}"
    assert references(text) == [
        Reference("datastores", "a-b", ("ID",)),
        Reference("images", 1, ("TEMPLATE", "PATH")),
        Reference("inputs", "n"),
        Reference("updates", "first_host"),
    ]


@pytest.mark.parametrize("text", ["${provision}" * 80_000, "${" * 500_000, "x" * 500_000 + "$", "}" * 900_000])
def test_long_values_take_time_in_proportion(text: str) -> None:
    assert len(evaluate(text, SCOPE, HERE)) <= len(text)


@pytest.mark.parametrize("text", ["<%" * 400_000, "<%=" + " " * 900_000 + "%>", "<%= @a" + "[0]" * 300_000 + "%>"])
def test_long_wrong_values_too(text: str) -> None:
    with pytest.raises(TemplateError) as caught:
        evaluate(text, SCOPE, HERE)
    assert len(str(caught.value)) < 400
