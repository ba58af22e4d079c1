"""Where things are on this front-end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Location:
    """The folders of a front-end; ``ONE_LOCATION`` makes a self-contained tree, as for OpenNebula itself."""

    etc: Path  # ours: hybrid.yaml, providers.d
    lib: Path  # ours: venv, hybrid-client
    state: Path  # ours: socket, locks, tombstones; 0700
    log: Path
    share: Path  # ours: templates of provisions that come with us
    remotes: Path  # OpenNebula's
    one_auth: Path
    endpoint: str  # of oned's XML-RPC

    @property
    def socket(self) -> Path:
        """Return the agent's socket."""
        return self.state / "agent.sock"

    @property
    def templates(self) -> tuple[Path, ...]:
        """Return the folders of shared templates of provisions: the operator's own, then those that come along."""
        return (self.etc / "provisions", self.share / "provisions")

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> Location:
        """Read ONE_LOCATION, ONE_XMLRPC, ONE_AUTH and HOME; no file is touched."""
        endpoint = env.get("ONE_XMLRPC", "http://127.0.0.1:2633/RPC2")
        home = Path(env.get("HOME", "/var/lib/one"))
        auth = Path(env["ONE_AUTH"]) if "ONE_AUTH" in env else None
        if root := env.get("ONE_LOCATION"):
            top = Path(root)
            return cls(
                etc=top / "etc/hybrid",
                lib=top / "lib/hybrid",
                state=top / "var/hybrid",
                log=top / "var/hybrid.log",
                share=top / "share/hybrid",
                remotes=top / "var/remotes",
                one_auth=auth or home / ".one/one_auth",
                endpoint=endpoint,
            )
        return cls(
            etc=Path("/etc/one/hybrid"),
            lib=Path("/usr/lib/one/hybrid"),
            state=Path("/var/lib/one/hybrid"),
            log=Path("/var/log/one/hybrid.log"),
            share=Path("/usr/share/one/hybrid"),
            remotes=Path("/var/lib/one/remotes"),
            one_auth=auth or home / ".one/one_auth",
            endpoint=endpoint,
        )
