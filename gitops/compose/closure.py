"""All files of a commit that the client will open, and nothing else.

Starting from the project's Compose file, `include` and `extends` are followed; each path starts where Compose
lets it start: in the project folder of the file, which is the including entry's `project_directory` or the
folder of the included file, and for a file that is extended the folder it stands in. Files that are absent
are noted as looked for; Compose itself decides whether it can do without one.

Files of other repositories stand in the tree below folders of their own. One that is not there yet is
answered as missing; whoever asked brings it and asks again, so nothing is fetched here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from events.kernel.errors import UserError, Where
from gitops.compose.discover import NAMES
from gitops.compose.faults import COMPOSE_INVALID, COMPOSE_TOO_LARGE, ComposeFault, compose_refused
from gitops.compose.reads import NO_REMOTES, Include, Reference, ReferenceKind, Scan, scan
from gitops.findings import Finding, FindingCode
from gitops.grafts import resolve_within
from gitops.remotes import RemoteRef, RemoteRules
from gitops.source.paths import join, parent, shown
from gitops.source.tree import Tree

MAX_FILE_BYTES = 1024 * 1024
MAX_FILES = 200
MAX_TOTAL_BYTES = 8 * 1024 * 1024
MAX_VALUES = 200_000  # in all Compose files together; a second or two of reading
DOTENV = ".env"


Places = dict[tuple[ReferenceKind, str], str]
"""Paths of the tree by the kind and the text of a reference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A commit of another repository that is named and not in the tree."""

    ref: RemoteRef
    where: Where  # that names it


@dataclass(frozen=True, slots=True, kw_only=True)
class Closure:
    """What is materialised."""

    files: dict[str, bytes]  # by path from the root of the tree
    looked_for: tuple[str, ...]
    dotenv: str | None  # path of the `.env` beside the project's Compose file
    profiles: bool  # some service has profiles
    host_env: bool  # some service takes an env file of its host
    named_env: bool  # some service takes an env file that a variable names
    port_variables: frozenset[str]  # variables that are by themselves an entry of some service's `ports`
    compose_files: tuple[str, ...]  # of `files`
    include_variables: frozenset[str]  # set by an env file of an `include`, for its files alone
    findings: tuple[Finding, ...]
    remotes: RemoteRules = NO_REMOTES  # by which the Compose files were read
    missing: tuple[Missing, ...] = ()  # while there are some, it is not the whole
    places: dict[str, Places] = field(default_factory=dict[str, Places])
    """By Compose file: what its references to other repositories stand for."""


@dataclass(slots=True)
class _Walk:
    """What was collected so far."""

    tree: Tree
    remotes: RemoteRules
    missing: dict[str, Missing] = field(default_factory=dict[str, Missing])  # by graft
    places: dict[str, Places] = field(default_factory=dict[str, Places])
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    looked_for: set[str] = field(default_factory=set[str])
    seen: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    waiting: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])  # file, project folder
    profiles: bool = False
    host_env: bool = False
    named_env: bool = False
    port_variables: set[str] = field(default_factory=set[str])
    include_variables: set[str] = field(default_factory=set[str])
    values: int = 0
    findings: list[Finding] = field(default_factory=list[Finding])

    def count(self, file: str, values: int) -> None:
        """Add up what the Compose files hold. Raises UserError `compose-too-large`."""
        self.values += values
        if self.values > MAX_VALUES:
            raise UserError(
                COMPOSE_TOO_LARGE,
                f"the Compose files together hold more than {MAX_VALUES} values",
                where=Where(file=shown(file)),
            )

    def take(self, path: str) -> bytes | None:
        """Read a file once; None when it is absent. Raises as `Tree.read` and `compose-too-large`."""
        self.looked_for.add(path)
        if path not in self.files:
            if self.tree.entry(path) is None:
                return None
            self.files[path] = self.tree.read(path, max_bytes=MAX_FILE_BYTES)
            total = sum(len(content) for content in self.files.values())
            if len(self.files) > MAX_FILES or total > MAX_TOTAL_BYTES:
                raise UserError(
                    COMPOSE_TOO_LARGE,
                    f"the Compose files need more than {MAX_FILES} files or {MAX_TOTAL_BYTES} bytes",
                    where=Where(file=shown(path)),
                )
        return self.files[path]


def close_over(
    tree: Tree, compose_path: str, *, env_file: str | None = None, remotes: RemoteRules = NO_REMOTES
) -> Closure:
    """Follow all references from `compose_path`; `env_file` is one more file of variables, if it is there.

    `remotes` say which other repositories may be named.

    Raises UserError with the codes of `gitops.compose.faults`, of `gitops.source.tree`, and `path-escapes`.
    """
    folder = parent(compose_path)
    walk = _Walk(tree=tree, remotes=remotes, waiting=[(compose_path, folder)])
    while walk.waiting:
        file, project_folder = walk.waiting.pop()
        content = walk.take(file)
        if content is None or (file, project_folder) in walk.seen:
            continue
        walk.seen.add((file, project_folder))
        found = scan(file, content, remotes)
        walk.count(file, found.values)
        _follow(walk, file, project_folder, found)
        walk.profiles = walk.profiles or found.profiles
        walk.host_env = walk.host_env or found.host_env
        walk.named_env = walk.named_env or found.named_env
        walk.port_variables |= found.port_variables
        if found.name is not None and file == compose_path:
            walk.findings.append(_name_ignored(file, found))
    dotenv = join(folder, DOTENV)
    top = walk.take(dotenv) if _is_file(tree, dotenv) else None
    walk.looked_for.add(dotenv)
    if top is not None:
        walk.findings += _ignored_variables(dotenv, top)
    if env_file is not None:
        walk.looked_for.add(env_file)
        more = walk.take(env_file) if _is_file(tree, env_file) else None
        walk.findings += _ignored_variables(env_file, more or b"")
    return Closure(
        files=dict(sorted(walk.files.items())),
        looked_for=tuple(sorted(walk.looked_for)),
        dotenv=dotenv if top is not None else None,
        profiles=walk.profiles,
        host_env=walk.host_env,
        named_env=walk.named_env,
        port_variables=frozenset(walk.port_variables),
        compose_files=tuple(sorted({file for file, _folder in walk.seen})),
        include_variables=frozenset(walk.include_variables),
        findings=tuple(walk.findings),
        remotes=remotes,
        missing=tuple(walk.missing.values()),
        places=walk.places,
    )


def _follow(walk: _Walk, file: str, project_folder: str, found: Scan) -> None:
    """Take what a file names."""
    for include in found.includes:
        _follow_include(walk, file, project_folder, include)
    for reference in found.builds:
        _resolved(walk, file, project_folder, reference)
    for reference in found.references:
        path = _resolved(walk, file, project_folder, reference)
        if path is None:
            continue
        if reference.kind == "extends":
            _needed(walk, file, reference, path)
            walk.waiting.append((path, parent(path)))
        else:
            walk.take(path)


def _follow_include(walk: _Walk, file: str, project_folder: str, include: Include) -> None:
    known = [(reference, _resolved(walk, file, project_folder, reference)) for reference in include.paths]
    paths = [(reference, path) for reference, path in known if path is not None]
    if len(paths) < len(known):
        return  # what they start from is not known yet
    inner = parent(paths[0][1]) if paths else project_folder
    if include.project_folder is not None:
        inner = _local(file, project_folder, include.project_folder)
    for reference, path in paths:
        _needed(walk, file, reference, path)
        walk.waiting.append((path, inner))
    for reference in include.env_files:
        content = walk.take(_local(file, project_folder, reference))
        walk.include_variables |= {name for _number, name in _assigned(content or b"")}


def _resolved(walk: _Walk, file: str, folder: str, reference: Reference) -> str | None:
    """The path from the root; None for one of a repository that is not in the tree, which is noted.

    A folder of another repository stands for the Compose file in it. Raises as `_local`.
    """
    remote = reference.remote
    if remote is None:
        return _local(file, folder, reference)
    if walk.tree.entry(remote.graft) is None:
        where = _fault(file, reference, code=COMPOSE_INVALID, message="").place
        walk.missing.setdefault(remote.graft, Missing(ref=remote, where=where))
        return None
    path = remote.path if reference.kind == "build" else _compose_file(walk.tree, remote.path)
    walk.places.setdefault(file, {})[reference.kind, reference.path] = path
    return path


def _compose_file(tree: Tree, path: str) -> str:
    """`path`, or the Compose file in it when it is a folder."""
    entry = tree.entry(path)
    if entry is None or entry.kind != "folder":
        return path
    named = [join(path, name) for name in NAMES]
    return next((one for one in named if tree.entry(one) is not None), named[0])


def _local(file: str, folder: str, reference: Reference) -> str:
    """The path from the root. Raises UserError `path-escapes` with the place that names it."""
    try:
        return resolve_within(folder, reference.path)
    except UserError as error:
        fault = _fault(file, reference, code=error.code, message=error.message, next_step=error.next)
        raise compose_refused([fault]) from error


def _fault(file: str, reference: Reference, *, code: str, message: str, next_step: str = "") -> ComposeFault:
    """What is wrong with a reference."""
    return ComposeFault(
        code=code, message=message, file=file, mark=reference.mark, key=reference.key, next=next_step
    )


def _needed(walk: _Walk, file: str, reference: Reference, path: str) -> None:
    """Raise UserError `compose-invalid` when a Compose file that another names is absent."""
    walk.looked_for.add(path)
    if walk.tree.entry(path) is None:
        message, next_step = f"{shown(path)} is not in the commit", f"git add {shown(path)}"
        if reference.remote is not None:
            message, next_step = f"{reference.remote} has no such file", "name a Compose file that it has"
        fault = _fault(file, reference, code=COMPOSE_INVALID, message=message, next_step=next_step)
        raise compose_refused([fault])


def _is_file(tree: Tree, path: str) -> bool:
    """Whether `path` is anything but absent or a folder; a link is left for the read to refuse."""
    entry = tree.entry(path)
    return entry is not None and entry.kind != "folder"


def _name_ignored(file: str, found: Scan) -> Finding:
    mark = found.name
    return Finding(
        code=FindingCode.NAME_IGNORED,
        message="name: is ignored; the project is called by stagecraft.yml",
        file=file,
        line=mark.line if mark else None,
        column=mark.column if mark else None,
        key="name",
    )


def _ignored_variables(path: str, content: bytes) -> list[Finding]:
    """Settings of the client itself; the ones that matter are given to it and win over this file."""
    findings: list[Finding] = []
    for number, name in _assigned(content):
        if name.startswith("COMPOSE_"):
            findings.append(
                Finding(
                    code=FindingCode.COMPOSE_VARIABLE_IGNORED,
                    message=f"{shown(name)} does not change how Stagecraft runs Compose",
                    file=path,
                    line=number,
                    key=shown(name),
                )
            )
    return findings


def _assigned(content: bytes) -> Iterator[tuple[int, str]]:
    """The lines of an env file that set a variable, by number, with its name."""
    for number, line in enumerate(content.decode(errors="replace").splitlines(), start=1):
        yield number, line.strip().removeprefix("export ").partition("=")[0].strip()
