"""The edits install.sh makes to OpenNebula's configuration: only what is missing, and back again byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conf_syntax import SyntaxProblem, attributes, shell_variable
from edit_conf import EDITS, Change, Edited, edit_monitord, edit_oned, edit_vmm_execrc, undo

MONITORD = """\
# "a quote and a [ bracket in a comment
#MANAGER_TIMER = 15
DB = [
  CONNECTIONS = 15
]
IM_MAD = [
    NAME          = "kvm",
    EXECUTABLE    = "one_im_ssh",
    ARGUMENTS     = "-r 3 -t 15 -w 90 kvm",
    THREADS       = 0
]
# IM_MAD = [
#     NAME          = "provision" ]
"""
ONED = """\
VM_RESTRICTED_ATTR = "CONTEXT/FILES"
DEFAULT_COST = [ CPU_COST = 0, MEMORY_COST = 0 ]   # both = [ free ]

#IPAM_MAD = [ EXECUTABLE = "one_ipam", ARGUMENTS = "-t 1 -i other" ]
IPAM_MAD = [
    EXECUTABLE = "one_ipam",
    ARGUMENTS  = "-t 1 -i dummy,aws,equinix,vultr"
]
VN_MAD_CONF = [
    NAME = "bridge",
    BRIDGE_TYPE = "linux"
]
"""
VMM_EXECRC = """\
# Space separated list VNM_MAD-ACTION pairs that run locally
VNMAD_LOCAL_ACTIONS="elastic-post elastic-clean"
"""
SHIPPED = {"monitord.conf": MONITORD, "oned.conf": ONED, "vmm_exec/vmm_execrc": VMM_EXECRC}


def values(text: str, name: str, part: str) -> list[str]:
    return [found.value for one in attributes(text) if one.name == name and (found := one.part(part))]


def test_monitord_gains_the_information_driver() -> None:
    text, _ = edit_monitord(MONITORD)
    assert values(text, "IM_MAD", "NAME") == ["kvm", "provision"]
    assert values(text, "IM_MAD", "EXECUTABLE")[-1] == "one_im_sh"
    assert values(text, "IM_MAD", "ARGUMENTS")[-1] == "-r 3 -t 15 -w 90 provision"


def test_oned_gains_address_and_network_drivers() -> None:
    text, _ = edit_oned(ONED)
    assert values(text, "IPAM_MAD", "ARGUMENTS") == ["-t 1 -i dummy,aws,equinix,vultr,packet,ec2"]
    assert values(text, "VN_MAD_CONF", "NAME") == ["bridge", "hybrid", "alias_sdnat"]
    assert set(values(text, "VN_MAD_CONF", "BRIDGE_TYPE")) == {"linux"}
    assert '"-t 1 -i other"' in text  # a comment is no configuration


def test_vmm_execrc_gains_local_actions() -> None:
    text, _ = edit_vmm_execrc(VMM_EXECRC)
    assert 'VNMAD_LOCAL_ACTIONS="elastic-post elastic-clean hybrid-post hybrid-clean"\n' in text


@pytest.mark.parametrize("name", EDITS)
def test_a_second_edit_changes_nothing_and_undo_restores(name: str) -> None:
    text, changes = EDITS[name](SHIPPED[name])
    assert changes
    assert EDITS[name](text) == (text, [])
    assert undo(text, changes) == (SHIPPED[name], [])


@pytest.mark.parametrize("name", EDITS)
@pytest.mark.parametrize("text", ["", "\n", "# nothing", 'ONE_KEY = "1"', "ONE_KEY = 1\r\n"])
def test_files_without_our_attributes_gain_them_and_come_back(name: str, text: str) -> None:
    after, changes = EDITS[name](text)
    assert changes
    assert EDITS[name](after) == (after, [])
    assert undo(after, changes) == (text, [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('IPAM_MAD=[executable="one_ipam",arguments="-i dummy,packet -t 1"]', "-i dummy,packet,ec2 -t 1"),
        ('IPAM_MAD=[ARGUMENTS="-t 1 -i dummy,ec2,packet"]', "-t 1 -i dummy,ec2,packet"),
        ('IPAM_MAD=[ARGUMENTS="-t 1"]', "-t 1"),  # every driver is enabled
        ('IPAM_MAD = [\n  ARGUMENTS = "-t 1 -idummy, x"\n]', "-t 1 -idummy,packet,ec2 x"),
    ],
)
def test_address_drivers_that_are_there_are_not_added(text: str, expected: str) -> None:
    after, changes = edit_oned(text)
    assert values(after, "IPAM_MAD", "ARGUMENTS") == [expected]
    assert undo(after, changes) == (text, [])


@pytest.mark.parametrize("value", ["''", '""', "'a-post'", '"hybrid-clean"', "a-post"])
def test_local_actions_in_every_spelling(value: str) -> None:
    text = f"if true; then X=1; fi\nexport VNMAD_LOCAL_ACTIONS={value} # VNMAD_LOCAL_ACTIONS=\nY=2\n"
    after, changes = edit_vmm_execrc(text)
    found = shell_variable(after, "VNMAD_LOCAL_ACTIONS")
    words = found.value.split() if found else []
    assert {"hybrid-post", "hybrid-clean"} <= set(words)
    assert len(words) == len(set(words))
    assert undo(after, changes) == (text, [])


def test_the_operators_own_information_driver_stays_alone() -> None:
    text = 'IM_MAD = [ NAME = "provision", EXECUTABLE = "one_im_sh", ARGUMENTS = "-w 30 provision" ]\n'
    assert edit_monitord(text) == (text, [])


def test_undo_leaves_what_was_edited_since() -> None:
    text, changes = edit_oned(ONED)
    text = text.replace("aws,equinix", "aws,mine,equinix").replace("packet,ec2", "packet,more,ec2") + "NEW = 1\n"
    after, lost = undo(text, changes)
    assert values(after, "IPAM_MAD", "ARGUMENTS") == ["-t 1 -i dummy,aws,mine,equinix,vultr,more"]
    assert values(after, "VN_MAD_CONF", "NAME") == ["bridge"]
    assert after.endswith("]\nNEW = 1\n")
    assert lost == []


def test_undo_takes_a_block_out_that_was_edited_inside() -> None:
    text, changes = edit_monitord(MONITORD)
    assert undo(text.replace("-w 90 provision", "-w 80 provision"), changes) == (MONITORD, [])


def test_undo_tells_what_is_no_longer_there() -> None:
    _, changes = edit_oned(ONED)
    assert undo(ONED, changes) == (ONED, ["VN_MAD_CONF alias_sdnat", "VN_MAD_CONF hybrid", "IPAM_MAD/ARGUMENTS"])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('A = 1\nB = "open', "line 2 has a quote that is not closed"),
        ('\nA = [ B = "x"\n', "line 2 has a bracket that is not closed"),
        ("A = 1\n]\n", "line 2 is not NAME = value"),
    ],
)
def test_text_that_oned_would_not_read_is_refused(text: str, problem: str) -> None:
    with pytest.raises(SyntaxProblem, match=problem):
        attributes(text)


WORD = st.text(alphabet="abcz09_.", min_size=1, max_size=6)
PLAIN = st.sampled_from(['LOG = [ system = "FILE" ]\n', "X = 1 # one\n", 'Y = "a \\" # [ b"\n', "\n"])
COMMENT = st.builds("#{}\n".format, st.text(alphabet='ab "[]=,', max_size=12))
IPAM = st.builds('IPAM_MAD = [ ARGUMENTS = "-t 1 -i {}" ]\n'.format, st.lists(WORD, min_size=1).map(",".join))
NETWORK = st.builds('VN_MAD_CONF=[NAME="{}"]\n'.format, st.sampled_from(["hybrid", "bridge", "alias_sdnat"]))


@given(st.lists(st.one_of(PLAIN, COMMENT, IPAM, NETWORK)).map("".join), st.booleans())
def test_any_file_comes_back(text: str, cut: bool) -> None:
    text = text.rstrip("\n") if cut else text
    after, changes = edit_oned(text)
    assert edit_oned(after) == (after, [])
    assert undo(after, changes) == (text, [])


def test_changes_survive_being_written_down() -> None:
    first: Edited = edit_oned(ONED)
    again = [Change(one.kind, one.label, one.inserted, tuple(one.words)) for one in first[1]]
    assert undo(first[0], again) == (ONED, [])
