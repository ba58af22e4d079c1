"""What the actions of ``alias_sdnat`` leave on a host, whatever happens: against tables in memory."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from remotes.vnm.alias_sdnat import alias_sdnat
from remotes.vnm.alias_sdnat.alias_sdnat import ACTIONS, Commands, Problem, Run, alone, read_vm
from tests.support.nat_lab import document
from tests.support.nat_tables import NatTables
from tests.unit.vnm.test_sdnat_document import ALIAS, NIC, stdin

BACKENDS = [("iptables", "ip6tables"), ("nft",), ("iptables", "ip6tables", "nft")]
SECOND = {**ALIAS, "NIC_ID": "2", "IP": "198.51.100.9"}


def act(
    tables: NatTables,
    action: str,
    aliases: Sequence[Mapping[str, str]],
    *,
    vm: int = 4,
    nic: Mapping[str, str] = NIC,
    rules: Sequence[Mapping[str, str]] = (),
) -> list[str]:
    """Run an action and return what it says is wrong."""
    run = Run(read_vm(stdin(document(vm, [nic], aliases, rules))), tables)
    ACTIONS[action](run)
    return run.problems


def comments(tables: NatTables) -> list[str]:
    """Return the comments of all rules, in their order."""
    words = [word.strip('"') for text in tables.rules() for word in text.split()]
    return [one for one in words if one.startswith("sdnat/")]


def aliases(tables: NatTables, what: str) -> list[str]:
    return [one.split("/")[4] for one in comments(tables) if one.split("/")[3] == what]


@pytest.fixture(params=BACKENDS, ids="+".join)
def tables(request: pytest.FixtureRequest) -> NatTables:
    return NatTables(request.param)


def bare(tables: NatTables) -> bool:
    kept = [*tables.iptables.values(), *tables.filters.values()]
    chains = [chain for table in kept for chain in table.chains.items()]
    return not tables.nft and all(not rules and not name.startswith("hybrid") for name, rules in chains)


@pytest.mark.parametrize("action", ["post", "update_sg", "update_nic"])
def test_rules_are_made_once_and_taken_away_whole(tables: NatTables, action: str) -> None:
    assert act(tables, action, [ALIAS, SECOND]) == []
    assert (
        aliases(tables, "in") == aliases(tables, "out") == aliases(tables, "back") == ["198.51.100.8", "198.51.100.9"]
    )
    tables.changes.clear()
    assert act(tables, action, [ALIAS, SECOND]) == []
    assert tables.changes == []
    assert act(tables, "clean", [ALIAS, SECOND]) == []
    assert bare(tables)


@pytest.mark.parametrize("programs", [("iptables", "ip6tables"), ("nft",)], ids="+".join)
def test_what_marks_a_bridge_comes_before_what_ends_the_chains_of_nat(programs: Sequence[str]) -> None:
    """Also where an older version of this driver was before, which marked nothing."""
    tables = NatTables(programs)
    act(tables, "post", [ALIAS], nic={**NIC, "BRIDGE": ""}, vm=3)
    act(tables, "post", [SECOND])
    hook = tables.iptables["iptables"].chains["PREROUTING"]
    if "nft" in programs:
        hook = [words for _, words in tables.nft["ip hybrid_alias"].chains["PREROUTING"][1]]
    assert [one.split()[1] for one in hook] == ["hybrid-alias-sent", "hybrid-alias-dnat"]


def test_each_bridge_has_a_mark_of_its_own_in_the_bits_for_it() -> None:
    marks = {alias_sdnat.mark_of(name) for name in ("br0", "br1", "onebr.10", "onebr.11", "onebr12")}
    assert len(marks) == 5
    assert all(one & alias_sdnat.MARKS == one != 0 for one in marks)


def test_pre_looks_and_changes_nothing(tables: NatTables) -> None:
    assert act(tables, "pre", [ALIAS]) == []
    assert tables.changes == []


def test_pre_tells_before_the_machine_boots() -> None:
    assert act(NatTables(()), "pre", [ALIAS]) == [
        "VM 4: IPv4 addresses cannot be translated: this host has neither iptables nor nft"
    ]
    assert act(NatTables(()), "pre", [{**ALIAS, "VN_MAD": "hybrid"}]) == []


def test_lost_rules_and_jumps_come_back(tables: NatTables) -> None:
    act(tables, "post", [ALIAS])
    if tables.iptables["iptables"].chains["POSTROUTING"]:
        tables.iptables["iptables"].chains["POSTROUTING"].clear()
        tables.iptables["iptables"].chains["hybrid-alias-dnat"].clear()
    else:
        tables.nft["ip hybrid_alias"].chains["POSTROUTING"][1].clear()
        tables.nft["ip hybrid_alias"].chains["hybrid-alias-dnat"][1].clear()
    before = sorted(comments(tables))
    assert act(tables, "update_sg", [ALIAS]) == []
    assert len(comments(tables)) == len(before) + 1
    changes = len(tables.changes)
    act(tables, "update_sg", [ALIAS])
    assert len(tables.changes) == changes


def test_hot_plugged_aliases_come_and_go_alone(tables: NatTables) -> None:
    act(tables, "post", [ALIAS])
    plugged = {**SECOND, "ATTACH": "YES"}
    tables.changes.clear()
    assert act(tables, "post", [ALIAS, plugged]) == []
    assert all("sdnat/4/1/" not in change for change in tables.changes)
    assert aliases(tables, "out") == ["198.51.100.8", "198.51.100.9"]  # outgoing connections keep their address
    assert act(tables, "clean", [ALIAS, plugged]) == []
    assert aliases(tables, "in") == ["198.51.100.8"]
    assert act(tables, "clean", [{**ALIAS, "ATTACH": "YES"}]) == []
    assert bare(tables)


def test_detaching_a_nic_takes_what_hangs_on_it_and_no_more(tables: NatTables) -> None:
    act(tables, "post", [ALIAS])
    other = {**NIC, "NIC_ID": "5", "ALIAS_IDS": "", "ATTACH": "YES"}
    run = Run(read_vm(stdin(document(4, [NIC, other], [ALIAS]))), tables)
    run.clean()
    assert aliases(tables, "in") == ["198.51.100.8"]
    assert act(tables, "clean", [ALIAS], nic={**NIC, "ATTACH": "YES"}) == []
    assert bare(tables)


def test_an_attach_that_failed_later_is_forgotten(tables: NatTables) -> None:
    """oned runs no clean for it: the next action on the machine finds it gone from the document."""
    act(tables, "post", [ALIAS, {**SECOND, "ATTACH": "YES"}])
    act(tables, "post", [ALIAS])
    assert aliases(tables, "in") == ["198.51.100.8"]


def test_a_changed_parent_address_is_followed(tables: NatTables) -> None:
    act(tables, "post", [ALIAS])
    act(tables, "post", [ALIAS], nic={**NIC, "IP": "192.168.150.77"})
    assert {one.split("/")[5] for one in comments(tables)} == {"192.168.150.77"}


def test_other_machines_and_other_peoples_rules_stay(tables: NatTables) -> None:
    act(tables, "post", [ALIAS, SECOND], vm=44)
    theirs = comments(tables)
    if "nft" not in tables.programs:
        tables.iptables["iptables"].run(["-I", "POSTROUTING", "1", "-s", "192.168.150.0/24", "-j", "hybrid-alias-snat"])
        tables.iptables["iptables"].run(["-I", "hybrid-alias-snat", "1", "-s", "10.0.0.1", "-j", "SNAT"])
    else:
        tables.run(["nft", "-f", "-"], "insert rule ip hybrid_alias hybrid-alias-snat ip saddr 10.0.0.1 accept\n")
    act(tables, "post", [{**ALIAS, "IP": "198.51.100.20"}])
    act(tables, "clean", [])
    assert comments(tables) == theirs
    assert "10.0.0.1" in tables.everything()


def test_the_newest_machine_gets_the_address(tables: NatTables) -> None:
    """Rules of a machine that is gone from here, whose clean was lost, are not ours to take: they come behind."""
    act(tables, "post", [ALIAS], vm=3)
    act(tables, "post", [ALIAS], nic={**NIC, "IP": "192.168.150.6"})
    for what in ("in", "via"):
        assert [one.split("/")[1] for one in comments(tables) if f"/{what}/" in one] == ["4", "3"]
    act(tables, "clean", [ALIAS], vm=3)
    assert {one.split("/")[1] for one in comments(tables)} == {"4"}


def test_malformed_aliases_are_told_and_the_others_done(tables: NatTables) -> None:
    bad = [{**ALIAS, "NIC_ID": "7", "IP": "nonsense"}, {**ALIAS, "NIC_ID": "x"}]
    problems = act(tables, "post", [*bad, SECOND])
    assert len(problems) == 2
    assert aliases(tables, "in") == ["198.51.100.9"]
    assert act(tables, "clean", [*bad, SECOND]) == []
    assert bare(tables)


def test_an_alias_gone_bad_keeps_its_rules(tables: NatTables) -> None:
    act(tables, "post", [ALIAS, SECOND])
    assert len(act(tables, "update_sg", [{**ALIAS, "PARENT_ID": "9"}, SECOND])) == 1
    assert aliases(tables, "in") == ["198.51.100.8", "198.51.100.9"]


def test_two_aliases_cannot_share_an_address(tables: NatTables) -> None:
    assert act(tables, "post", [ALIAS, {**SECOND, "IP": ALIAS["IP"]}]) == [
        "VM 4: two NIC aliases have the address 198.51.100.8"
    ]
    assert aliases(tables, "in") == ["198.51.100.8"]


def test_other_drivers_aliases_are_none_of_ours(tables: NatTables) -> None:
    assert act(tables, "post", [{**ALIAS, "VN_MAD": "hybrid", "IP": "nonsense", "NIC_ID": ""}]) == []
    assert tables.changes == []


def test_rules_move_when_nft_comes_to_a_host_that_had_only_iptables() -> None:
    tables = NatTables(("iptables", "ip6tables"))
    act(tables, "post", [ALIAS])
    tables.programs.add("nft")
    act(tables, "update_sg", [ALIAS])
    assert tables.nft
    assert aliases(tables, "in") == ["198.51.100.8"]
    act(tables, "clean", [ALIAS])
    assert bare(tables)


@pytest.mark.parametrize("at", range(1, 10))
def test_half_an_alias_is_taken_back(at: int) -> None:
    """Each command of iptables is a change of its own; the one that fails is told."""
    tables = NatTables(("iptables", "ip6tables"))
    act(tables, "post", [{**ALIAS, "IP": "198.51.100.20"}], vm=3)
    theirs = comments(tables)
    made = len(tables.changes)

    def refuse(what: str) -> None:
        if len(tables.changes) == made + at - 1 and "-I" in what:
            tables.refuse = lambda _: None
            raise Problem("iptables: Memory allocation problem.")

    tables.refuse = refuse
    problems = act(tables, "post", [ALIAS])
    if at <= 7:  # that many rules has an alias
        assert problems == ["VM 4: iptables: Memory allocation problem."]
        assert comments(tables) == theirs
    else:
        assert problems == []


def test_what_cannot_be_read_is_told_where_it_matters() -> None:
    class Forbidden(NatTables):
        def run(self, words: Sequence[str], stdin: str = "") -> str:
            raise Problem("sudo: a password is required")

    tables = Forbidden()
    told = "VM 4: IPv4 addresses cannot be translated: sudo: a password is required and sudo: a password is required"
    for action in ("pre", "post", "clean"):
        assert act(tables, action, [ALIAS]) == [told]
    assert act(tables, "clean", [{**ALIAS, "VN_MAD": "hybrid"}]) == []  # nothing of ours to be found
    assert act(NatTables(()), "clean", [ALIAS]) == []  # what cannot make rules has none


# --- commands and the lock --------------------------------------------------------------------------------------------


def sudo(folder: Path, text: str) -> None:
    program = folder / "sudo"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)


def test_oneadmin_runs_commands_by_sudo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 9869)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    sudo(tmp_path, 'printf "%s\\n" "$*"; cat')
    assert Commands().run(["iptables", "-t", "nat", "-S"], "x\n") == "-n iptables -t nat -S\nx\n"
    sudo(tmp_path, f'echo "asked $*" >>{tmp_path}/asked; [ "$*" != "-n -l nft list tables" ]')
    with pytest.raises(Problem, match="sudo does not let user 9869 run nft on this host"):
        Commands().run(["nft", "list", "tables"])
    assert (
        tmp_path / "asked"
    ).read_text() == "asked -n -l nft list tables\n"  # what is refused is not tried: sudo would mail that
    sudo(tmp_path, "[ $2 = -l ] || { echo 'iptables: Permission denied' >&2; exit 4; }")
    with pytest.raises(Problem, match="'iptables -S' failed on this host: iptables: Permission denied"):
        Commands().run(["iptables", "-S"])


def test_a_command_that_hangs_or_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(alias_sdnat, "COMMAND_LIMIT", 0.05)
    with pytest.raises(Problem, match="'sleep 9' did not end within"):
        Commands().run(["sleep", "9"])
    with pytest.raises(Problem, match="no-such-program cannot be run on this host: No such file"):
        Commands().run(["no-such-program"])


def test_one_run_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with alone(str(path), 0):
        assert path.stat().st_mode & 0o777 == 0o600
        with path.open("w") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(Problem, match=f"other network actions have held {path} for 0 s"), alone(str(path), 0):
            pass
    with alone(str(path), 0):
        pass


def test_the_lock_of_a_run_that_was_killed_is_free(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen(["flock", path, "sh", "-c", "echo held; read wait"], stdin=-1, stdout=-1) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(Problem, match="have held"), alone(str(path), 0):
            pass
        holder.communicate(b"\n")
    with alone(str(path), 0):
        pass


def test_a_link_in_the_locks_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "precious")
    with pytest.raises(Problem, match="cannot be opened"), alone(str(tmp_path / "lock"), 0):
        pass
    assert not (tmp_path / "precious").exists()
