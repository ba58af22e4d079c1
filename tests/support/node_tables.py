"""What the node part of ``hybrid`` changes on a host, in memory: rules (``nat_tables``), routes, proxies, settings.

As strict as the real programs: adding what is there and deleting what is not are refused.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tests.support.nat_tables import NatTables, check


class NodeTables(NatTables):
    """A host with a default route, forwarding off, and a bridge ``br0``; ``denied`` is what sudo does not allow."""

    def __init__(self, programs: Collection[str] = ("nft",)) -> None:
        super().__init__(programs)
        self.routes: dict[str, str] = {}  # what follows the target
        self.proxies: set[tuple[str, str]] = set()
        self.settings = {"net/ipv4/ip_forward": "0", "net/ipv6/conf/all/forwarding": "0"}
        self.settings["net/ipv6/conf/br0/proxy_ndp"] = "0"
        self.bridges = {"br0"}
        self.own = "192.168.150.1/24"
        self.router = ""  # what IPv6 route its router gave it
        self.denied: set[str] = set()

    def everything(self) -> str:
        """Return all that can change."""
        return f"{super().everything()} {self.routes} {sorted(self.proxies)} {self.settings} {self.bridges}"

    def setting(self, path: str) -> str:
        return self.settings.get(path, "")

    def may(self, words: Sequence[str]) -> bool:
        return words[0] not in self.denied

    def look(self, words: Sequence[str]) -> str:
        if words[1:5] == ["-o", "address", "show", "dev"]:
            return f"7: {words[5]} inet {self.own} scope global {words[5]}\n"
        kind, verb, *rest = words[2:]
        if (kind, verb) == ("neighbour", "show"):
            return "".join(f"{address} dev {dev} proxy\n" for address, dev in self.proxies if dev == rest[2])
        if verb == "get":
            return f"{rest[0]} {self.routes.get(rest[0], 'via 198.18.77.2 dev eth0 src 198.18.77.1')} uid 0\n"
        if rest[0] == "default":
            return self.router
        route = self.routes.get(rest[0], "")
        return f"{rest[0]} {route} scope link\n" if route and " ".join(rest[1:]) in route else ""

    def run(self, words: Sequence[str], stdin: str = "") -> str:
        if words[0] not in ("ip", "sysctl"):
            return super().run(words, stdin)
        check(self.may(words), f"sudo does not let user 9869 run {words[0]} on this host")
        self._changing(" ".join(words))
        does = {"route": self._route, "neighbour": self._neighbour, "link": self._link, "-qw": self._set}
        does[words[1]](words[2:])
        return ""

    def _route(self, words: Sequence[str]) -> None:
        verb, target, *rest = words
        if verb == "replace":
            self.routes[target] = " ".join(rest)
        else:
            check(self.routes.get(target) == " ".join(rest), "RTNETLINK answers: No such process")
            del self.routes[target]

    def _neighbour(self, words: Sequence[str]) -> None:
        verb, _, address, _, dev = words
        check((verb == "add") == ((address, dev) not in self.proxies), "RTNETLINK answers: No such file or directory")
        self.proxies ^= {(address, dev)}

    def _link(self, words: Sequence[str]) -> None:
        if words[0] == "add":
            check(words[2] not in self.bridges, "RTNETLINK answers: File exists")
            self.bridges.add(words[2])

    def _set(self, words: Sequence[str]) -> None:
        name, _, value = words[0].partition("=")
        self.settings[name.replace(".", "/")] = value
