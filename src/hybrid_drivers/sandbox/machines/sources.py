"""Where the packages of an image come from: this computer's own mirror where it fits, else the distribution's."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from hybrid_drivers.errors import SandboxError
from hybrid_drivers.sandbox.machines.commands import run
from hybrid_drivers.sandbox.machines.suites import SUITES, Suite

_NEIGHBOURS = {name: one.distribution for name, one in SUITES.items()}


class MirrorUnreachable(SandboxError):
    """The archive of a suite cannot be reached from here, so its image cannot be made."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """One apt source: ``uri suite components``, as a one-line entry writes it."""

    uri: str
    suite: str
    components: tuple[str, ...]

    def line(self) -> str:
        """Return the ``deb`` line."""
        return f"deb {self.uri} {self.suite} {' '.join(self.components)}"

    def stanza(self, keyring: str) -> str:
        """Return the deb822 form (sources.list(5))."""
        return (
            f"Types: deb\nURIs: {self.uri}\nSuites: {self.suite}\nComponents: {' '.join(self.components)}\n"
            f"Signed-By: {keyring}\n"
        )


def sources_file(suite: Suite, sources: Iterable[Source]) -> tuple[str, str]:
    """Return path and text of the file in which an image of ``suite`` has its sources, as the rented ones have."""
    if suite.deb822:
        text = "\n".join(source.stanza(suite.keyring) for source in sources)
        return f"etc/apt/sources.list.d/{suite.deb822}", text
    return "etc/apt/sources.list", "".join(f"{source.line()}\n" for source in sources)


def host_sources(suite: Suite, folder: Path = Path("/etc/apt")) -> list[Source]:
    """Return the sources of an image, the main one first.

    This computer's own of that suite are taken, or those of another suite of the same distribution, whose mirror has
    this one too; else the distribution's own servers. Both forms of apt's files are read: one-line ``*.list`` and
    deb822 ``*.sources`` (sources.list(5)).
    """
    found: list[Source] = []
    lists = [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*.list"))]
    for path in (one for one in lists if one.is_file()):
        found += _one_line(path.read_text(errors="replace").splitlines())
    for path in sorted((folder / "sources.list.d").glob("*.sources")):
        found += _deb822(path.read_text(errors="replace"))
    found = [one for one in found if one.uri.startswith(("http://", "https://")) and "main" in one.components]
    neighbours = [name for name, other in _NEIGHBOURS.items() if other == suite.distribution and name != suite.name]
    for name in (suite.name, *neighbours):
        ours = [one for one in found if one.suite.split("-")[0] == name]
        if any(one.suite == name for one in ours):
            ours.sort(key=lambda one: one.suite != name)
            return [_moved(one, name, suite) for one in ours]
    return _usual(suite)


def _moved(source: Source, name: str, suite: Suite) -> Source:
    if name == suite.name:
        return source
    return replace(source, suite=suite.name + source.suite[len(name) :], components=suite.components)


def _usual(suite: Suite) -> list[Source]:
    return [
        Source(uri=suite.mirror, suite=suite.name, components=suite.components),
        Source(uri=suite.mirror, suite=f"{suite.name}-updates", components=suite.components),
        Source(uri=suite.security, suite=f"{suite.name}-security", components=suite.components),
    ]


def _one_line(lines: Iterable[str]) -> list[Source]:
    entries = (re.sub(r"\[[^]]*\]", "", line.partition("#")[0]).split() for line in lines)
    return [
        Source(uri=words[1].rstrip("/"), suite=words[2], components=tuple(words[3:]))
        for words in entries
        if len(words) > 3 and words[0] == "deb"
    ]


def _deb822(text: str) -> list[Source]:
    found = []
    bare = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", bare):
        fields = {key.lower(): value for key, value in re.findall(r"(?m)^([\w-]+):[ \t]*(.*)$", stanza)}
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() == "no":
            continue
        components = tuple(fields.get("components", "").split())
        for uri in fields.get("uris", "").split():
            found += [
                Source(uri=uri.rstrip("/"), suite=s, components=components) for s in fields.get("suites", "").split()
            ]
    return found


def host_apt_settings() -> str:
    """Return this computer's apt settings that decide whether its mirror works: proxies and date checks."""
    wanted = re.compile(r"^Acquire::(https?::Proxy|ftp::Proxy|Check-Date|Check-Valid-Until)\b")
    return "".join(f"{line}\n" for line in run(["apt-config", "dump"]).splitlines() if wanted.match(line))


def fetch(url: str, *, timeout: float = 20.0) -> bytes:
    """Read a file of an archive, through the proxy of the environment as debootstrap does.

    Raises:
        MirrorUnreachable: it cannot be had; the text says why.
    """
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            return bytes(answer.read())
    except (urllib.error.URLError, OSError) as exc:
        raise MirrorUnreachable(f"{url} cannot be read: {exc}") from exc
