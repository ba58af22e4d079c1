"""Reading a template from its file and those it extends, or from the text of a merged one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.providers.attributes import did_you_mean
from hybrid_drivers.provision.template.merge import merged, template_of
from hybrid_drivers.provision.template.model import Place, Problem, ProvisionTemplate, TemplateError
from hybrid_drivers.provision.template.reader import Draft, FileReader
from hybrid_drivers.yamlfile import LARGEST, parse_yaml

MOST_VALUES = 50_000  # of one file, aliases followed
MOST_FILES = 64  # read for one template
UPSTREAM = "/usr/share/one/oneprovision"  # where OneProvision has its templates; newer OpenNebula has none
PARENTS = "parents"  # folder of those that are there to be extended


def find_template(path: Path, search: Sequence[Path]) -> Path:
    """Return where a template is: a bare name that is not in the working directory may be that of a shared one.

    Raises:
        ConfigError: a bare name is nowhere; the text names the shared ones.
    """
    if path.name != str(path) or _there(path):
        return path
    found = next((folder / path for folder in search if _there(folder / path)), None)
    if found is None:
        known = sorted({one.name for folder in search for one in folder.glob("*.yaml")})
        hint = did_you_mean(path.name[:60], known) if known else ""
        where = ", ".join(map(str, search))
        raise ConfigError(f"there is no template '{path.name[:200]}', neither here nor in {where}{hint}")
    return found


def _there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that no file can have
        return False


def load_template(path: Path, search: Sequence[Path]) -> ProvisionTemplate:
    """Read ``path`` and all it extends. ``search`` are folders of shared templates.

    Raises:
        TemplateError: everything that is wrong with keys and types, each with file, line and key.
    """
    template, problems = read_template(path, search)
    if template is None or problems:
        raise TemplateError(problems)
    return template


def read_template(path: Path, search: Sequence[Path]) -> tuple[ProvisionTemplate | None, list[Problem]]:
    """The same for whoever wants to check on: the template without what is wrong in it (None: unreadable), and that."""
    problems: list[Problem] = []
    draft = _Loader(search, problems).load(path, ())
    if draft is None:
        return None, problems
    return template_of(draft, str(path), problems), problems


def parse_template(text: str, name: str) -> ProvisionTemplate:
    """Read a template that extends nothing, as ``dump`` writes it; ``name`` is what problems call it.

    Raises:
        TemplateError: everything that is wrong with keys and types.
    """
    problems: list[Problem] = []
    draft = _parse(text, name, None, problems)
    if draft is None:
        raise TemplateError(problems)
    if draft.extends:
        problems.append(draft.places["extends"].problem("a stored template extends nothing any more"))
    template = template_of(draft, name, problems)
    if problems:
        raise TemplateError(problems)
    return template


def _parse(text: str, name: str, folder: Path | None, problems: list[Problem]) -> Draft | None:
    try:
        if len(text) > LARGEST:
            raise ConfigError(f"{name}: larger than 1 MiB, which no template is")
        tree = parse_yaml(text, name, most=MOST_VALUES)
    except ConfigError as exc:
        problems.append(_problem_of(str(exc), name))
        return None
    return FileReader(name, folder, problems).read(tree)


def _problem_of(sentence: str, name: str) -> Problem:
    """Take apart ``name:line: text``, as yamlfile writes it."""
    rest = sentence.removeprefix(name).removeprefix(":")
    line, _, text = rest.partition(":")
    if line.strip().isdigit():
        return Problem(file=name, line=int(line), key="", text=text.strip())
    return Problem(file=name, line=1, key="", text=rest.strip())


class _Loader:
    def __init__(self, search: Sequence[Path], problems: list[Problem]) -> None:
        self._search, self._problems = search, problems
        self._left = MOST_FILES

    def load(self, path: Path, chain: tuple[Path, ...], asked: Place | None = None) -> Draft | None:
        """Return ``path`` over its parents; ``chain`` are the files that led here, ``asked`` where it was named."""
        self._left -= 1
        if self._left < 0:
            self._say(asked, path, f"more than {MOST_FILES} files are extended")
            return None
        text = self._read(path, asked)
        draft = None if text is None else _parse(text, str(path), path.parent, self._problems)
        return None if draft is None else self._with_parents(draft, path, (*chain, path))

    def _with_parents(self, draft: Draft, path: Path, chain: tuple[Path, ...]) -> Draft:
        below = Draft()
        for name in draft.extends:
            asked = draft.places["extends"]
            if (parent := self._find(name, path)) is None:
                where = ", ".join(dict.fromkeys(str(one) for one in (path.parent, Path.cwd(), *self._search)))
                self._problems.append(asked.problem(f"there is no template '{name[:200]}' in {where}"))
                continue
            if any(_same(parent, one) for one in chain):
                names = " -> ".join(str(one) for one in (*chain, parent))
                self._problems.append(asked.problem(f"the template extends itself: {names}"))
                continue
            if loaded := self.load(parent, chain, asked):
                below = merged(below, loaded)
        return merged(below, draft)

    def _find(self, name: str, path: Path) -> Path | None:
        """Look for a parent: beside the file, in the working directory, in the shared folders.

        One that OneProvision would have had in its own folder is looked for by its last name in the shared ones.
        """
        if "\0" in name:
            return None
        folders = [path.parent, Path.cwd(), *self._search]
        candidates = [folder / name for folder in folders]
        if name.startswith(f"{UPSTREAM}/"):
            last = PurePosixPath(name).name
            candidates += [folder / part / last for folder in self._search for part in (".", PARENTS)]
        try:
            return next((one for one in candidates if one.is_file()), None)
        except OSError:  # a name that is too long
            return None

    def _read(self, path: Path, asked: Place | None) -> str | None:
        try:
            with path.open("rb") as file:
                raw = file.read(LARGEST + 1)
            if len(raw) > LARGEST:
                raise ConfigError("larger than 1 MiB, which no template is")
            return raw.decode("utf-8-sig")
        except (OSError, ValueError) as exc:
            reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8 text"
            self._say(asked, path, f"cannot be read: {reason}")
        except ConfigError as exc:
            self._say(asked, path, str(exc))
        return None

    def _say(self, asked: Place | None, path: Path, text: str) -> None:
        place = asked or Place(file=str(path), line=1)
        self._problems.append(place.problem(f"{path}: {text}" if asked else text))


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False
