"""Every secret of a cloud is a canary; all that people, programs and other users can see is searched for it.

The real agent, thin client, tools and drivers, on the sandbox, at level debug, with a provider that repeats the token,
the secret key and the user-data it was sent in its errors. One run is one provider: packet with even seeds, ec2 with
odd ones.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

import yaml
from tests.support.canaries import TEMPORARY, Canaries, Watch, make
from tests.support.growing_site import end, growing_lab, grown, start_vm, wait_running
from tests.support.lab import told
from tests.support.ranges import READY, Networks

from hybrid_drivers.model import HostState, Template
from hybrid_drivers.sandbox.frontend import monitord
from hybrid_drivers.sandbox.http_server import Reply, Request, json_reply
from hybrid_drivers.sandbox.lab import Lab
from hybrid_drivers.sandbox.simulator import Api, Refusal

from .rows import Outcome, Row, seeded

PROVIDERS = ("packet", "ec2")
POOLS = {
    "one.hostpool.info": (),
    "one.clusterpool.info": (),
    "one.zone.info": (0,),
    "one.vnpool.info": (-2, -1, -1),
    "one.vmpool.infoextended": (-2, -1, -1, -1),
    "one.documentpool.info": (-2, -1, -1, 702),
    "one.documentpool.info ": (-2, -1, -1, 703),
}


class Echoing:
    """A provider's API that repeats in some errors all it was sent, as careless services do.

    ``troubles`` are the statuses of the next answers, by a part of the call's name. ``tokens`` besides its own open it,
    too. ``keys`` are the private host keys that came with user-data.
    """

    def __init__(self, api: Api, secret: str, tokens: Sequence[str]) -> None:
        self._api, self._secret, self._tokens = api, secret, frozenset(tokens)
        self._here = threading.local()
        self.troubles: dict[str, list[int]] = {}
        self.keys: set[str] = set()
        self.echoed = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)

    def call_name(self, request: Request) -> str:
        """Name the call, and remember it for ``answer``."""
        self._here.name = self._api.call_name(request)
        return str(self._here.name)

    def answer(self, request: Request) -> Reply:
        """Answer, or repeat what was sent."""
        user_data = _user_data(request)
        self.keys.update(_private_keys(user_data))
        for part, statuses in self.troubles.items():
            if statuses and part in self._here.name:
                self.echoed += 1
                return self._echo(request, statuses.pop(0), user_data)
        if request.headers.get("x-auth-token") in self._tokens:
            request = replace(request, headers={**request.headers, "x-auth-token": self._secret})
        return self._api.answer(request)

    def refuse(self, refusal: Refusal) -> Reply:
        """Refuse as the API does."""
        return self._api.refuse(refusal)

    def _echo(self, request: Request, status: int, user_data: str) -> Reply:
        token = request.headers.get("x-auth-token", "")
        sent = f"{request.headers} {user_data}" if status >= 500 else f"{user_data} {request.headers}"
        words = [f"the key {token or self._secret} may not", f"got {sent} {request.body.decode(errors='replace')}"]
        if token:
            return json_reply(status, {"errors": words, "error": words[0]})
        code = "InternalError" if status >= 500 else "InvalidParameterValue"
        said = f"<Error><Code>{code}</Code><Message>{escape(' '.join(words))}</Message></Error>"
        body = f"<Response><Errors>{said}</Errors><RequestID>r</RequestID></Response>"
        return Reply(status=status, body=body.encode(), headers={"Content-Type": "text/xml"})


def _user_data(request: Request) -> str:
    try:
        if request.headers.get("x-auth-token"):
            return str((json.loads(request.body or b"{}") or {}).get("userdata", ""))
        return base64.b64decode(parse_qs(request.body.decode()).get("UserData", [""])[0]).decode()
    except ValueError:
        return ""


def _private_keys(user_data: str) -> Iterator[str]:
    text, begin, over = user_data, "-----BEGIN OPENSSH PRIVATE KEY-----", "-----END OPENSSH PRIVATE KEY-----"
    while begin in text:
        key, _, text = text.partition(begin)[2].partition(over)
        yield f"{begin}\n{key.strip()}\n{over}"


class Site:
    """A laboratory whose credentials are canaries, and what is done with it."""

    def __init__(self, lab: Lab, canaries: Canaries, tokens: Mapping[str, str]) -> None:
        self.lab, self.canaries, self.tokens = lab, canaries, tokens
        self.packet = lab.options.provider == "packet"
        simulator: Any = lab.simulator
        self.echo = Echoing(simulator._api, tokens["file"], list(tokens.values()))
        simulator._api = self.echo
        self.printed: list[str] = []
        self.since = time.time() - 1
        self._known: set[str] = set()

    def secrets(self) -> None:
        """Tell the search what is secret here, and where it is meant to be."""
        one, state = self.lab.frontend.location, str(self.lab.location.state)
        meant = {"file": [f"{self.lab.location.etc}/providers.d/"], "document": [f"{self.lab.folder}/provider.yaml"]}
        clusters = ["oned: one.clusterpool.info"]  # who wrote it there reads it there, as with 5.12
        for name, secret in self.tokens.items():
            self.canaries.add(f"{name} credential", secret, meant.get(name, clusters))
        self.canaries.add("oneadmin's password", self.lab.frontend.session.partition(":")[2], [f"{one}/.one/one_auth"])
        self.late_secrets(state)

    def late_secrets(self, state: str) -> None:
        """Tell the search of secrets that the agent made by itself."""
        if (secret := Path(state, "hostkeys.secret")).is_file():
            self.canaries.add("secret of the host keys", secret.read_bytes(), [str(secret)])
        if (login := Path(state, "ssh/id_ed25519")).is_file():
            self.canaries.add_key("login key", login.read_text(), [str(login)])
        for key in self.echo.keys - self._known:
            self._known.add(key)
            self.canaries.add_key("host key", key)

    # --- what is done ------------------------------------------------------------------------------------------

    def say(self, *words: str) -> str:
        """Run one of our programs and keep what it printed."""
        done = self.lab.run(*words)
        self.printed.append(done.stdout + done.stderr)
        return done.stdout

    def clusters(self) -> list[int]:
        """Make a cluster whose provider is a document, and one with its credentials inline, as 5.12 had them."""
        lab, entry = self.lab, self.lab.entry()
        key = "token" if self.packet else "secret_key"
        path = lab.folder / "provider.yaml"
        path.touch(mode=0o600)
        kept = {name: entry[name] for name in ("remote_port", "limits", "endpoint")}
        told = {name: value for name, value in entry.items() if name not in ("driver", *kept)}
        kind = "equinix" if self.packet else "aws"
        body = {"name": "stored", "provider": kind, **kept, "connection": {**told, key: self.tokens["document"]}}
        path.write_text(yaml.safe_dump(body))
        self.say("onehybrid", "provider", "create", str(path), *(() if self.packet else ("--no-check",)))
        path.unlink()
        least = lab.oned.cluster(lab.cluster_id).template.vector("PROVISION")
        rest = {name: value for name, value in least.items() if name != "PROVIDER"}
        if self.packet:
            names = {"PACKET_TOKEN": self.tokens["inline"], "PACKET_PROJECT": str(entry["project"])}
            names["PACKET_ENDPOINT"] = str(entry["endpoint"])
        else:
            names = {"EC2_ACCESS": str(entry["access_key"]), "EC2_SECRET": self.tokens["inline"]}
            names |= {"REGION_NAME": str(entry["region"]), "EC2_ENDPOINT": str(entry["endpoint"])}
        stored, inline = lab.oned.allocate_cluster("stored"), lab.oned.allocate_cluster("inline")
        port = ("PROVISION_CONNECTION", {"REMOTE_PORT": str(lab.machines.ssh_port)})
        lab.oned.update_cluster(stored, Template([("PROVISION", {**rest, "PROVIDER": "stored"})]))
        driver = {"DRIVER": lab.options.provider}
        lab.oned.update_cluster(inline, Template([("PROVISION", {**names, **rest, **driver}), port]))
        return [stored, inline]

    def settled(self, host_id: int, *, opens: bool) -> bool:
        """Tell whether a host is READY or in ERROR; one whose credentials open nothing says so and goes on trying."""
        state = told(self.lab, host_id, "PROVISION_STATE")
        return state in ("READY", "ERROR") or (
            not opens and "AuthFailure" in told(self.lab, host_id, "PROVISION_ERROR")
        )

    def hosts(self) -> list[int]:
        """Rent with each kind of credentials, with errors that repeat them."""
        lab, create = self.lab, "POST /projects/{id}/devices" if self.packet else "RunInstances"
        others = self.clusters()
        self.echo.troubles[create] = [500, 422 if self.packet else 400]
        made = [lab.create("edge1"), *(lab.oned.allocate_host(f"e{one}", "provision", "kvm", one) for one in others)]
        for host_id in made:
            lab.wait(partial(self.settled, host_id, opens=self.packet or host_id == made[0]))
        for host_id in made:
            if lab.host(host_id).state is HostState.ERROR:  # the refusal that was echoed
                lab.oned.set_host_status(host_id, "enable")
                lab.wait(partial(self.is_ready, host_id))
        return made

    def is_ready(self, host_id: int) -> bool:
        """Tell whether a host is READY."""
        return told(self.lab, host_id, "PROVISION_STATE") == "READY"

    def people(self, made: Sequence[int], *, short: bool) -> None:
        """Do what people do with ready hosts, right and wrong."""
        lab, number = self.lab, str(made[0])
        for words in [
            ("provider", "show", "stored"),
            ("configure", number),
            ("configure", "--check", number),
            ("agent", "status"),
            ("agent", "reload"),
            ("provider", "list"),
            ("provider", "list", "--xml"),
            ("provider", "check", "stored"),
            ("gc",),
            ("cost",),
            ("growth", "show"),
        ][: 1 if short else None]:
            self.say("onehybrid", *words)
        machine = lab.host(made[0]).template.vector("PROVISION").get("DEPLOY_ID", "none")
        pm = lab.frontend.location / f"var/remotes/pm/{lab.options.provider}"
        for action in ("poll", "reset", "nonsense"):
            if (pm / action).exists():
                self.say(str(pm / action), machine, "edge1", number, "edge1")

    def addresses(self) -> None:
        """Give a machine an address; the first try ends in an error that repeats the credentials."""
        networks = Networks(self.lab)
        call = "POST /projects/{id}/ips" if self.packet else "AllocateAddress"
        self.echo.troubles[call] = [422 if self.packet else 400]
        networks.make("refused", networks.range(1))
        made = networks.make("public", networks.range(1))
        if networks.get(made).state == READY:
            networks.terminate(networks.vm(made))
            self.lab.wait(lambda: networks.used(made) == 0)
        for one in networks.objects.pool("vnet"):
            networks.objects.delete("vnet", one.id)
        self.lab.wait(lambda: not networks.objects.pool("vnet"))

    def growth(self) -> None:
        """Let the cluster grow and shrink."""
        vm = start_vm(self.lab, "grows")
        wait_running(self.lab, vm)
        end(self.lab, vm)
        self.lab.wait(lambda: not grown(self.lab))

    def give_back(self) -> None:
        """Delete everything, with errors on the way, and an agent that is killed."""
        delete = "DELETE /devices/{id}" if self.packet else "TerminateInstances"
        self.echo.troubles[delete] = [500]
        for host in self.lab.oned.hosts():
            self.lab.oned.delete_host(host.id)
        self.lab.kill_agent()
        self.say("onehybrid", "agent", "run")
        if self.packet:
            self.lab.wait_empty()
        else:  # what hosts of accounts that open nothing left there is looked for as long as they exist
            self.lab.wait(lambda: not self.lab.alive())

    # --- where is looked ---------------------------------------------------------------------------------------

    def looks(self, *, short: bool) -> Mapping[str, Callable[[], None]]:
        """Return what is looked at all the time; ``short`` leaves other programs' temporary files for the end."""
        return {
            "secrets": lambda: self.late_secrets(str(self.lab.location.state)),
            "processes": lambda: self.canaries.look_at_processes(but=(os.getpid(),)),
            **({} if short else {"temporary files": self.look_at_temporary}),
            "oned": self.look_at_oned,
        }

    def look_at_temporary(self) -> None:
        """Search what is new in the folders for temporary files, but for laboratories."""
        for top in map(Path, TEMPORARY):
            for path in top.glob("*"):
                try:
                    new = path.lstat().st_mtime >= self.since
                except OSError:
                    continue
                if not new or path.name.startswith(("onehybrid-lab-", "pytest-", "bash_jobs", "onehybrid-proof-")):
                    continue
                if path.is_dir():
                    self.canaries.look_at_tree("temporary files", path, self.since)
                else:
                    self.canaries.look_at_file("temporary files", path, str(path))

    def look_at_oned(self) -> None:
        """Search all objects as oned shows them to anybody who may read them: encrypted attributes stay so."""
        for method, arguments in POOLS.items():
            reply = self.lab.frontend.call(method.strip(), *arguments)
            self.canaries.look("oned's documents", f"oned: {method}", str(reply))
        for host_id in list(self.lab.frontend.store.hosts):
            self.canaries.look(
                "oned's documents", f"oned: host {host_id}", str(self.lab.frontend.call("one.host.info", host_id))
            )

    def look_at_what_is_left(self) -> None:
        """Search files, what was printed, and what drivers answered."""
        self.canaries.look_at_tree("files of the front-end", self.lab.frontend.location)
        self.look_at_temporary()
        for text in self.printed:
            self.canaries.look("what tools printed", "printed", text)
        for run in list(self.lab.frontend.events):
            self.canaries.look("answers of drivers", f"driver {run.action}", run.output)


@contextmanager
def messages(canaries: Canaries) -> Iterator[None]:
    """Search each message that monitord gets, as it was before it was packed."""
    read = monitord.read_message

    def reading(data: bytes, key: monitord.Key | None = None) -> Any:
        message = read(data, key)
        canaries.look("messages to monitord", f"message {message.kind}", message.payload)
        return message

    with patch.object(monitord, "read_message", reading):
        yield


def story(seed: int, *, short: bool = False) -> Outcome:
    """Play one run; ``short`` leaves out addresses and growth."""
    provider = PROVIDERS[seed % 2]
    tokens = {name: make(name) for name in ("file", "document", "inline")}
    canaries = Canaries()
    with messages(canaries), growing_lab(provider, secret=tokens["file"]) as lab:
        site = Site(lab, canaries, tokens)
        site.secrets()
        with Watch(canaries, site.looks(short=short)) as watch:
            if not short:
                site.growth()
            made = site.hosts()
            site.people(made, short=short)
            if not short:
                site.addresses()
            if not short:
                site.look_at_what_is_left()
            site.give_back()
        site.look_at_what_is_left()
        violations = [f"found: {hit.canary} in {hit.place}" for hit in sorted(canaries.hits, key=str)]
        violations += [f"not searched: {problem}" for problem in watch.problems[:3]]
        violations += [f"core: {problem}" for problem in core_of(lab)]
        left = {name: statuses for name, statuses in site.echo.troubles.items() if statuses}
        violations += [f"no trouble: {name} was not asked for often enough" for name in left]
    figures = {
        "secrets": len(canaries.names),
        "errors that repeated them": site.echo.echoed,
        "hits": len(canaries.hits),
    }
    return Outcome(seed=seed, violations=violations, figures={**figures, **canaries.searched})


def core_of(lab: Lab) -> list[str]:
    """Say what is wrong with the agent's memory: it must not be dumped, nor read by another process of the user."""
    pid = lab.agent_pid()
    if pid is None:
        return ["no agent runs"]
    limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
    (core,) = [line.split()[4:6] for line in limits if line.startswith("Max core file size")]
    os.kill(pid, signal.SIGABRT)
    return [] if core == ["0", "0"] else [f"files of {core} bytes may be made of the agent's memory"]


ROWS = (Row(name="canaries", what="all credentials are canaries; all places are searched", runs=4, run=seeded(story)),)
