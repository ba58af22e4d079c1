"""Reading oned's and monitord's documents: the recorded ones, and everything that only looks like them."""

from __future__ import annotations

import base64
import threading
import xmlrpc.client
from collections.abc import Callable
from xml.parsers.expat import ExpatError

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.oned.replay import DATA, body, recorded

from hybrid_drivers.errors import ConfigError, HybridError, OnedError
from hybrid_drivers.model import HostState, RaftState, Template
from hybrid_drivers.oned import xml

START = (DATA / "actions/im.start_monitor.xml").read_bytes()
READERS: dict[str, Callable[[str], object]] = {
    "HOST": xml.parse_host,
    "HOST_POOL": xml.parse_hosts,
    "CLUSTER": xml.parse_cluster,
    "CLUSTER_POOL": xml.parse_clusters,
    "DOCUMENT": xml.parse_document,
    "DOCUMENT_POOL": xml.parse_documents,
    "VM_POOL": xml.parse_vms,
    "ZONE": xml.parse_zone,
    "RAFT": xml.parse_raft,
}
DOCUMENTS = {name: one["response"][1] for name, one in recorded().items() if str(one["response"][1]).startswith("<")}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_recorded_document_is_read(name: str) -> None:
    root = DOCUMENTS[name].partition(">")[0].lstrip("<")
    if root in READERS:
        READERS[root](DOCUMENTS[name])
    else:
        assert xml.parse(DOCUMENTS[name], root, name, OnedError).tag == root


@pytest.mark.parametrize("path", sorted((DATA / "actions").glob("*.xml")), ids=lambda path: path.stem)
def test_every_recorded_standard_input_is_read(path: object) -> None:
    data = (DATA / "actions" / str(path)).read_bytes()
    root = data.partition(b">")[0].lstrip(b"<").decode()
    assert xml.parse(data, root, str(path), ConfigError).children()


def test_a_host_is_read_whole() -> None:
    host = xml.parse_hosts(body("hostpool.info"))[2]
    assert (host.id, host.name, host.state, host.cluster_id) == (4, "d2", HostState.MONITORED, 100)
    assert (host.total_cpu, host.total_memory, host.running_vms) == (800, 16777216, 0)
    provision = xml.parse_host(body("host.info.with_provision")).template
    assert provision.vector("PROVISION") == {"DEPLOY_ID": "abc", "PLAN": "c3.small.x86", "PROVIDER": "packet"}
    assert provision.text("PROVISION_STATE") == "DEPLOYING"
    assert provision.text("RESERVED_CPU", "none") == ""


def test_a_virtual_machine_is_read_whole() -> None:
    vms = {vm.id: vm for vm in xml.parse_vms(body("vmpool.info.all"))}
    assert (vms[4].host_id, vms[4].cpu, vms[4].memory, vms[4].state, vms[4].lcm_state) == (2, 0.1, 64, 3, 40)
    assert [nic["IP"] for nic in vms[4].template.vectors("NIC")] == ["192.168.150.5", "198.51.100.8"]
    assert vms[2].waits
    assert not vms[4].waits


def test_empty_pools_are_empty() -> None:
    assert xml.parse_hosts("<HOST_POOL></HOST_POOL>") == []
    assert xml.parse_vms("<VM_POOL/>") == []


@pytest.mark.parametrize(
    ("state", "leads"),
    [(RaftState.SOLO, True), (RaftState.CANDIDATE, False), (RaftState.FOLLOWER, False), (RaftState.LEADER, True)],
)
def test_raft_states(state: RaftState, leads: bool) -> None:
    read = xml.parse_raft(body("zone.raftstatus").replace("<STATE>0<", f"<STATE>{state.value}<"))
    assert read is state
    assert read.leads is leads


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("<ID>7</ID>", "", "HOST/ID is missing"),
        ("<ID>7</ID>", "<ID>seven</ID>", "HOST/ID is 'seven', expected a whole number"),
        ("<ID>7</ID>", "<ID>1_0</ID>", "expected a whole number"),
        ("<ID>7</ID>", "<ID>\N{ARABIC-INDIC DIGIT SEVEN}</ID>", "expected a whole number"),
        ("<NAME>edge-x</NAME>", "<NAME/>", "HOST/NAME is '', expected some text"),
        ("<STATE>0</STATE>", "<STATE>9</STATE>", "HOST/STATE is '9', expected a host state from 0 to 8"),
        ("<CLUSTER_ID>0</CLUSTER_ID>", "", "HOST/CLUSTER_ID is missing"),
        ("<TOTAL_CPU>0<", "<TOTAL_CPU>many<", "HOST/HOST_SHARE/TOTAL_CPU is 'many'"),
        ("<HOST>", "<HOST", "host 7 is not XML"),
        ("</HOST>", "", "host 7 is not XML"),
        ("</HOST>", "</HOST><HOST/>", "host 7 is not XML"),
        ("<HOST>", "<!DOCTYPE HOST><HOST>", "document type declaration"),
        ("HOST>", "IMAGE>", "host 7 is a <IMAGE>, expected <HOST>"),
    ],
)
def test_what_is_wrong_is_named_with_its_path(old: str, new: str, says: str) -> None:
    text = body("host.info.with_provision")
    with pytest.raises(OnedError) as caught:
        xml.parse_host(text.replace(old, new), "host 7")
    assert says in str(caught.value)
    assert str(caught.value).startswith("host 7")
    assert "\n" not in str(caught.value)


LEVELS = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
BOMBS = {
    "billion laughs": f'<!DOCTYPE HOST [<!ENTITY e0 "aaaaaaaaaa">{LEVELS}]><HOST><NAME>&e11;</NAME></HOST>',
    "external entity": '<!DOCTYPE HOST [<!ENTITY x SYSTEM "file:///etc/hostname">]><HOST><NAME>&x;</NAME></HOST>',
    "external dtd": '<!DOCTYPE HOST SYSTEM "http://127.0.0.1:1/x.dtd"><HOST/>',
    "internal dtd": '<!DOCTYPE HOST [<!ATTLIST HOST a CDATA "b">]><HOST/>',
    "undeclared entity": "<HOST>&x;</HOST>",
    "depth": "<HOST>" + "<A>" * 100_000 + "</A>" * 100_000 + "</HOST>",
    "huge text": "<HOST><NAME>" + "a" * 11_000_000 + "</NAME></HOST>",
    "control character": "<HOST>\x07</HOST>",
    "half a character": "<HOST>\ud800</HOST>",
    "nothing": "",
    "text": "Error: no such host",
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS.keys())
def test_bombs_are_refused(text: str) -> None:
    with pytest.raises(OnedError, match=r"^host 7 (is not XML|holds a document type declaration)") as caught:
        xml.parse_host(text, "host 7")
    assert len(str(caught.value)) < 300


def test_sizes_are_limited() -> None:
    with pytest.raises(ConfigError, match="more than the 10 allowed"):
        xml.parse("<HOST></HOST>", "HOST", "it", ConfigError, limit=10)
    with pytest.raises(ConfigError, match="more than the 8388608 allowed"):
        xml.parse_start_monitor(b"A" * (xml.MAX_INPUT + 1))


def test_an_encoding_that_hides_markup_is_not_followed() -> None:
    with pytest.raises(OnedError):
        xml.parse("<HOST><NAME>a</NAME></HOST>".encode("utf-16"), "HOST", "it", OnedError)


@pytest.mark.parametrize("read", READERS.values(), ids=READERS.keys())
@given(text=st.text(alphabet="<>&;/!]['\"ABHOST_POLIDNAME01 \n", max_size=60))
def test_no_garbage_gets_past(read: Callable[[str], object], text: str) -> None:
    said = ""
    try:
        read(text)
    except OnedError as exc:
        said = str(exc)
    assert "\n" not in said


WORDS = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")) | st.sampled_from("<>&\n"), max_size=40
)


@given(st.lists(st.one_of(WORDS, st.booleans(), st.integers(-(2**31), 2**31 - 1)), max_size=6))
def test_replies_are_read_as_the_library_reads_them(values: list[str | bool | int]) -> None:
    data = xmlrpc.client.dumps((values,), methodresponse=True, encoding="utf-8").encode()
    assert xml.parse_reply(data, "oned") == xmlrpc.client.loads(data)[0]


@given(st.binary(max_size=60))
def test_no_garbage_gets_past_as_a_reply(garbage: bytes) -> None:
    begun = b"<?xml version='1.0'?><methodResponse><params><param><value>" + garbage
    for data in (garbage, begun, begun + b"</value></param></params></methodResponse>"):
        try:
            expected = xmlrpc.client.loads(data)[0]
        except (ExpatError, xmlrpc.client.Error, ValueError, TypeError):
            with pytest.raises(OnedError):
                xml.parse_reply(data, "oned")
        else:
            assert xml.parse_reply(data, "oned") == expected


@pytest.mark.parametrize("inner", ["<!ENTITY a 'b'>", ""])
def test_a_reply_with_a_document_type_is_refused(inner: str) -> None:
    """Whatever libexpat does about entities."""
    reply = xmlrpc.client.dumps(("text",), methodresponse=True).partition("?>")[2]
    with pytest.raises(OnedError, match="did not answer as an XML-RPC server does"):
        xml.parse_reply(f"<!DOCTYPE x [{inner}]>{reply}".encode(), "oned")


def test_a_text_longer_than_the_buffer_is_whole_and_comes_in_few_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    document = "<HOST><ID>1</ID></HOST>ü" * 100_000
    pieces: list[str] = []
    real = xmlrpc.client.Unmarshaller.data

    def data(self: xmlrpc.client.Unmarshaller, text: str) -> None:
        pieces.append(text)
        real(self, text)

    monkeypatch.setattr(xmlrpc.client.Unmarshaller, "data", data)
    reply = xmlrpc.client.dumps(([True, document, 0],), methodresponse=True, encoding="utf-8").encode()
    assert xml.parse_reply(reply, "oned") == ([True, document, 0],)
    assert len(pieces) < 50


def test_many_threads_may_read_at_once() -> None:
    found: list[int] = []

    def read() -> None:
        found.extend(len(xml.parse_hosts(body("hostpool.info"))) for _ in range(4))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert found == [5] * 16


# --- monitord -----------------------------------------------------------------------------------------------------


def test_the_monitor_configuration_is_read() -> None:
    stdin = base64.b64encode(START) + b"\n"
    read = xml.parse_start_monitor(stdin)
    assert (read.host_id, read.address, read.port, read.public_key) == (6, "127.0.0.1", 4124, "")
    assert (read.beacon_period, read.interval) == (30, 180)
    assert (read.raw, read.xml) == (stdin, START)


def test_an_address_that_is_given_is_kept_and_a_key_too() -> None:
    text = START.replace(b"<![CDATA[auto]]>", b"198.51.100.1").replace(
        b"<PUBKEY><![CDATA[]]>", b"<PUBKEY><![CDATA[-----BEGIN\nx]]>"
    )
    read = xml.parse_start_monitor(base64.b64encode(text))
    assert (read.address, read.public_key) == ("198.51.100.1", "-----BEGIN\nx")


@pytest.mark.parametrize(
    ("stdin", "says"),
    [
        (b"", "is not XML"),
        (b"hello, world", "is not base64"),
        (b"\xff\xfe\x00", "is not base64"),
        (base64.b64encode(b"hello"), "is not XML"),
        (START, "is not base64"),
        (base64.b64encode(b"<VM/>"), "is a <VM>, expected <MONITOR_CONFIGURATION>"),
        (base64.b64encode(START.replace(b"<HOST_ID>6</HOST_ID>", b"")), "MONITOR_CONFIGURATION/HOST_ID is missing"),
        (base64.b64encode(START.replace(b"4124", b"412400")), "NETWORK/PORT is '412400', expected a port"),
        (base64.b64encode(START.replace(b"auto", b"")), "NETWORK/MONITOR_ADDRESS is '', expected some text"),
    ],
)
def test_a_wrong_standard_input_is_named(stdin: bytes, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        xml.parse_start_monitor(stdin)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=200))
def test_no_standard_input_gets_past(stdin: bytes) -> None:
    for data in (stdin, base64.b64encode(stdin)):
        with pytest.raises(ConfigError):
            xml.parse_start_monitor(data)


def test_the_answer_to_a_start_call_is_one_line_and_reads_back() -> None:
    answer = xml.start_answer(Template([("TOTALCPU", "0"), ("PROVISION_STATE", 'a "b"\nc')]))
    assert answer.count(b"\n") == 1
    assert xml.parse_monitor_messages(answer) == {"SYSTEM_HOST": 'TOTALCPU="0"\nPROVISION_STATE="a \\"b\\"\nc"\n'}
    with pytest.raises(ConfigError, match="SYSTEM_HOST answer"):
        xml.start_answer(Template([("PROVISION_STATE", "\a")]))


def test_a_nodes_answer_is_read_with_noise_around_it() -> None:
    data = b"Welcome!\n<MONITOR_MESSAGES><SYSTEM_HOST>QT0x</SYSTEM_HOST>\n<MONITOR_VM>Qj0y</MONITOR_VM> "
    data += b"<MONITOR_VM>Qz0z</MONITOR_VM><BEACON_HOST/><TIMESTAMP>1</TIMESTAMP></MONITOR_MESSAGES>\nbye"
    assert xml.parse_monitor_messages(data) == {"SYSTEM_HOST": "A=1", "MONITOR_VM": "B=2\nC=3", "BEACON_HOST": ""}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "the node said: nothing"),
        (b"bash: ruby: command not found\n", "the node said: bash: ruby: command not found"),
        (b"<MONITOR_MESSAGES>", "is missing"),
        (b"</MONITOR_MESSAGES><MONITOR_MESSAGES>", "is missing"),
        (b"<MONITOR_MESSAGES><SYSTEM_HOST></MONITOR_MESSAGES>", "is not XML"),
        (b"<MONITOR_MESSAGES><SYSTEM_HOST>A=1</SYSTEM_HOST></MONITOR_MESSAGES>", "/SYSTEM_HOST is not base64"),
    ],
)
def test_a_nodes_other_answers_are_named(data: bytes, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        xml.parse_monitor_messages(data)
    assert says in str(caught.value)


# --- 5.12 -----------------------------------------------------------------------------------------------------------

DEPLOY = (
    b"<?xml version='1.0'?>\n<HOST><NAME>provision-1</NAME><TEMPLATE><IM_MAD>kvm</IM_MAD><PM_MAD>packet</PM_MAD>"
    b"<PROVISION><PACKET_PROJECT>p</PACKET_PROJECT><PLAN>c3.small.x86</PLAN></PROVISION></TEMPLATE></HOST>"
)


def test_a_deployment_file_is_read() -> None:
    file = xml.parse_deploy(DEPLOY, "/tmp/file")
    assert (file.name, file.host_id, file.deploy_id) == ("provision-1", None, "")
    assert file.template.vector("PROVISION") == {"PACKET_PROJECT": "p", "PLAN": "c3.small.x86"}
    again = xml.parse_deploy(body("host.info.with_provision").encode(), "/tmp/file")
    assert (again.host_id, again.deploy_id) == (7, "abc")


@pytest.mark.parametrize("data", [b"", b"NAME=x", b"<VM/>", DEPLOY[:-3], b"<HOST><ID>x</ID></HOST>"])
def test_another_deployment_file_is_named(data: bytes) -> None:
    with pytest.raises(HybridError, match=r"/tmp/file") as caught:
        xml.parse_deploy(data, "deployment file /tmp/file")
    assert type(caught.value) is ConfigError
