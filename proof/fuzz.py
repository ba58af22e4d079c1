"""Everything that reads what others wrote, fed with what nobody would write: errors of ours, or nothing.

Each target has a process of its own with a limit on its memory, and runs for so many seconds; with atheris (the extra
``proof``) guided by coverage, otherwise by mutations of ours, which keep what was answered in a new way.

    python -m proof.fuzz TARGET SECONDS SEED            # one target here; prints a line of JSON
    python -m proof.fuzz TARGET --input HEX             # one input again
"""

from __future__ import annotations

import json
import logging
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType

from hybrid_drivers.errors import HybridError

from .rows import Ask, Outcome, Result, Row

try:
    import atheris
except ImportError:  # Python 3.10, other computers than x86: mutations of ours do
    atheris = None

with atheris.instrument_imports(include=["hybrid_drivers"]) if atheris and __name__ == "__main__" else nullcontext():
    from .fuzz_targets import TARGETS, Answers, Target

LONGEST = 5.0  # seconds of processor time for one input: twenty times the slowest seen, as a busy computer counts them
MEMORY = 3 << 30  # bytes of address space; past it there is a MemoryError, which is a violation
GROWTH = 512  # MiB that the fuzzed code may take over what it began with
LARGEST = 1 << 16  # bytes of an input
MOST_TOLD = 5  # different failures of a target, then it stops
PATIENCE = 300.0  # seconds beyond its time after which a target's process hangs


class TooSlow(BaseException):
    """One input takes too long; no ``except Exception`` on the way may hide it."""


@dataclass
class Found:
    """What came of a target: how many inputs it had, how many it took without an error, the slowest, what failed."""

    inputs: int = 0
    accepted: int = 0
    slowest: float = 0.0
    memory: int = 0  # MiB
    failures: dict[str, str] = field(default_factory=dict)  # what and where -> the input in hexadecimal


class Fuzzer:
    """Feeds one target and judges what it does."""

    def __init__(self, target: Target) -> None:
        self.target, self.found = target, Found()
        self._base = _peak()
        signal.signal(signal.SIGVTALRM, _too_slow)

    def feed(self, data: bytes) -> str:
        """Give it one input; return how it was answered: nothing new is learned from the same answer again."""
        self.found.inputs += 1
        began = time.thread_time()
        signal.setitimer(signal.ITIMER_VIRTUAL, 2 * LONGEST)
        try:
            answer = f"accepted: {result}" if isinstance(result := self.target.run(data), Answers) else "accepted"
            self.found.accepted += 1
        except HybridError as exc:
            answer = _where(exc)
        except (Exception, TooSlow) as exc:  # noqa: BLE001 - that there is none is the question
            answer = f"{type(exc).__name__} at {_where(exc)}"
            self._fail(answer, data)
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        spent = time.thread_time() - began
        self.found.slowest = max(self.found.slowest, spent)
        if spent > LONGEST:
            self._fail(f"takes more than {LONGEST:g} s", data)
        self.found.memory = _peak() - self._base
        if self.found.memory > GROWTH:
            self._fail(f"takes more than {GROWTH} MiB", data)
        return answer

    def _fail(self, what: str, data: bytes) -> None:
        self.found.failures.setdefault(what, data.hex())

    @property
    def over(self) -> bool:
        """Tell whether enough is wrong."""
        return len(self.found.failures) >= MOST_TOLD

    def mutate_for(self, seconds: float, seed: int, most: int | None = None) -> None:
        """Feed mutations of the seeds for so many seconds of this process, or ``most`` inputs."""
        mutator = Mutator(self.target, random.Random(seed))
        until = time.monotonic() + seconds
        for data in mutator.corpus[: most and most // 2]:
            self.feed(data)
        answers: set[str] = set()
        while time.monotonic() < until and not self.over and (most is None or self.found.inputs < most):
            data = mutator.next()
            if (answer := self.feed(data)) not in answers:
                answers.add(answer)
                mutator.corpus.append(data)

    def guided_for(self, seconds: int, seed: int) -> None:
        """Feed what atheris makes; does not return: libFuzzer ends the process."""
        with tempfile.TemporaryDirectory() as folder:
            for number, data in enumerate(self.target.seeds()):
                Path(folder, str(number)).write_bytes(data)
            until = time.monotonic() + seconds

            def one(data: bytes) -> None:
                self.feed(data)
                if self.over or time.monotonic() > until:
                    print(json.dumps(asdict(self.found)), flush=True)
                    os._exit(0)

            options = [
                f"-seed={seed % 2**31 or 1}",
                f"-max_len={LARGEST}",
                "-timeout=600",
                "-verbosity=0",
                "-rss_limit_mb=0",
            ]
            atheris.Setup([sys.argv[0], folder, *options], one, enable_python_coverage=True)
            atheris.Fuzz()


class Mutator:
    """Makes inputs of inputs; ``corpus`` is what it knows."""

    def __init__(self, target: Target, chance: random.Random) -> None:
        self._chance = chance
        self.corpus = [data[:LARGEST] for data in target.seeds()] or [b""]
        self._words = [word.encode("utf-8", "surrogateescape") for word in target.words.split(" ")]
        self._words += [b"$(touch x)", b"`touch x`", b"\0", b"\n", b"\r", b"\x1b[31m", "\u202e\u00e9".encode(), b"\xff"]

    def next(self) -> bytes:
        """Return an input."""
        data = self._chance.choice(self.corpus)
        for _ in range(self._chance.choice((1, 1, 2, 4, 8))):
            data = self._changed(data)
        return data[:LARGEST]

    def _changed(self, data: bytes) -> bytes:
        chance = self._chance
        at = chance.randrange(len(data) + 1)
        to = min(len(data), at + chance.choice((1, 1, 2, 4, 16, 64, 256)))
        word = chance.choice(self._words)
        kind = chance.randrange(8)
        if kind == 0:
            return data[:at] + data[to:]
        if kind == 1:
            return data[:at] + word + data[at:]
        if kind == 2:
            return data[:at] + word + data[to:]
        if kind == 3:
            return data[:at] + data[at:to] * chance.choice((2, 3, 50, 1000)) + data[to:]
        if kind == 4:
            return data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
        if kind == 5:
            other = chance.choice(self.corpus)
            return data[:at] + other[chance.randrange(len(other) + 1) :]
        if kind == 6:
            return data[:at] + word * chance.choice((2, 20, 2000)) + data[at:]
        return data[:at] + self._number() + data[to:]

    def _number(self) -> bytes:
        return self._chance.choice(
            (b"-1", b"0", b"2147483648", b"9223372036854775808", b"1e309", b"9" * 5000, b"0x10", b"1_0")
        )


def _too_slow(_: int, frame: FrameType | None) -> None:
    raise TooSlow(f"{frame.f_code.co_name}" if frame else "")


def _where(exc: BaseException) -> str:
    """Return the last line of ours that the error went through."""
    frames = traceback.extract_tb(exc.__traceback__)
    ours = [one for one in frames if "hybrid_drivers" in one.filename] or frames
    return f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


# --- the row ----------------------------------------------------------------------------------------------------------


def fuzz(ask: Ask, targets: Sequence[Target] = TARGETS) -> Result:
    """Fuzz all targets, each for ``ask.runs`` seconds."""
    with ThreadPoolExecutor(ask.workers) as pool:
        all_found = list(pool.map(lambda target: _apart(target.name, ask.runs, ask.seed), targets))
    return told(ask, {target.name: found for target, found in zip(targets, all_found, strict=True)})


def told(ask: Ask, found: dict[str, Found]) -> Result:
    """Return what is said of what was found."""
    failures = []
    for name, one in found.items():
        wrong = [f"{name}: {what}" for what in one.failures]
        again = [f"python -m proof.fuzz {name} --input {data}" for data in one.failures.values()]
        if wrong:
            failures.append(Outcome(seed=ask.seed, violations=wrong, trace="\n".join(again)))
    figures: Counter[str] = Counter({f"inputs of {name}": one.inputs for name, one in found.items()})
    figures["inputs"] = sum(one.inputs for one in found.values())
    extremes = {
        "ms for the slowest": round(1000 * max(one.slowest for one in found.values())),
        "MiB at most": max(one.memory for one in found.values()),
    }
    violations = [violation for one in failures for violation in one.violations]
    done = f"{len(found)} targets, {ask.runs} s each"
    return Result(done=done, figures={**figures, **extremes}, violations=violations, failures=failures)


def _apart(name: str, seconds: int, seed: int) -> Found:
    command = [sys.executable, "-m", "proof.fuzz", name, str(seconds), str(seed)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return Found(failures={"hangs": ""})
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        return Found(failures={f"ended with {done.returncode}: {done.stderr[-300:]}": ""})
    return Found(**json.loads(lines[-1]))


def main(name: str, *words: str) -> None:
    """Fuzz one target in this process, or give it one input."""
    (target,) = [one for one in TARGETS if one.name == name]
    logging.disable(logging.CRITICAL)
    if words[0] == "--input":
        target.run(bytes.fromhex(words[1]))
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    fuzzer = Fuzzer(target)
    seconds, seed = int(words[0]), int(words[1])
    if atheris:
        fuzzer.guided_for(seconds, seed)
    else:
        fuzzer.mutate_for(seconds, seed)
    print(json.dumps(asdict(fuzzer.found)), flush=True)


ROWS = (Row(name="fuzz", what="readers are fed with garbage (runs are seconds for each)", runs=600, run=fuzz),)

if __name__ == "__main__":
    main(*sys.argv[1:])
