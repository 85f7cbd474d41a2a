"""What the services mount from the commit, collected from the tree and named by content.

Relative bind mounts, configs and secrets become read-only binds of folders that are named by the digest of
what they hold: a changed file changes the service's definition, which Compose by itself would not see, and an
absent source is an error of the engine instead of an empty folder. A relative path that is not in the commit
is data of the app: it becomes a folder that stays on the host from one Release to the next.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from events.kernel.canonical import sha256_digest
from events.kernel.errors import UserError, Where, error_code
from events.manifest import FILES_PREFIX, STATE_PREFIX, FileEntry, FileTree
from gitops.findings import Finding, FindingCode
from gitops.grafts import is_grafted, told, without_commit
from gitops.source.paths import inside, shown
from gitops.source.tree import Entry, Tree, readable, refused

MOUNTS_TOO_LARGE = error_code(
    "mounts-too-large", "The files that services mount from the commit are too large."
)
PATH_NOT_TEXT = error_code("path-not-text", "A mounted file's name is not UTF-8 text.")

MAX_FILE_BYTES = 8 * 1024 * 1024
MAX_TOTAL_BYTES = 64 * 1024 * 1024
MAX_FILES = 10_000
_OTHERS = ".remotes"  # folder of state that belongs to paths of other repositories
_OUTSIDE_PROJECT = ".repository"  # folder of state that belongs to paths beside the project's own folder


@dataclass(slots=True)
class Collector:
    """Collects for all services of a render; what two services mount is kept once."""

    tree: Tree
    folder: str  # of the project, from the root of the tree
    trees: dict[str, FileTree] = field(default_factory=dict[str, FileTree])  # by digest
    blobs: dict[str, bytes] = field(default_factory=dict[str, bytes])  # by digest
    looked_for: set[str] = field(default_factory=set[str])
    findings: set[Finding] = field(default_factory=set[Finding])
    preview: bool = False  # for showing: a file that has to be in the commit and is not is a finding
    origins: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    """Where in the repository a mount comes from, `{service: {path in the container: path}}`: for telling."""
    _sources: dict[str, str] = field(default_factory=dict[str, str])
    _total_bytes: int = 0

    def mounted(self, path: str, *, key: str, state: bool = False) -> tuple[str, bool]:
        """The bind source for a path of the tree, and whether it is mounted as it is in the commit.

        `state` makes it a folder of the host whatever the commit has there, which is not copied into it.
        Raises UserError `path-is-link`, `path-is-submodule`, `path-not-text`, `file-too-large`,
        `tree-too-large` or `mounts-too-large`.
        """
        if state:
            self._find(FindingCode.MOUNT_IS_STATE, "it is a writable folder on the host", path, key)
            return self._state(path), False
        self.looked_for.add(path)
        entry = self.tree.entry(path)
        if entry is None:
            self._find(
                FindingCode.MOUNT_NOT_IN_COMMIT, "it is not in the commit: a folder on the host", path, key
            )
            return self._state(path), False
        if path not in self._sources:
            self._sources[path] = self._collected(path, entry)
        self._find(FindingCode.MOUNT_READ_ONLY, "it is mounted read-only, as it is in the commit", path, key)
        return self._sources[path], True

    def file(self, path: str, *, key: str) -> str:
        """The bind source for a file that has to be in the commit. Raises as `mounted` and `path-missing`."""
        self.looked_for.add(path)
        found = self.tree.entry(path)
        if found is None and self.preview:
            self._find(FindingCode.NOT_DEPLOYABLE, "it is not in the commit", path, key)
            return self._state(path)
        return self._collected(path, readable(path, found, max_bytes=MAX_FILE_BYTES))

    def committed(self, path: str) -> bool:
        """Whether the commit has anything at `path`."""
        self.looked_for.add(path)
        return self.tree.entry(path) is not None

    def note(self, service: str, *, target: str, origin: str) -> None:
        """Remember what a person would edit to change what `service` sees at `target`."""
        self.origins.setdefault(service, {})[target] = told(origin)

    def generated(self, name: str, content: bytes) -> str:
        """The bind source for a file that the Compose file itself holds."""
        return self._single(name, content, executable=False)

    def trees_of(self, sources: Iterable[str]) -> dict[str, FileTree]:
        """The collected trees that the bind sources name."""
        wanted = {
            f"sha256:{source.removeprefix(FILES_PREFIX).partition('/')[0]}"
            for source in sources
            if source.startswith(FILES_PREFIX)
        }
        return {digest: self.trees[digest] for digest in sorted(wanted)}

    def _collected(self, path: str, entry: Entry) -> str:
        if entry.kind in {"link", "submodule"}:
            raise refused(path, entry)
        if entry.kind != "folder":
            name = path.rpartition("/")[2]
            return self._single(name, self._read(path), executable=entry.kind == "executable")
        entries: list[FileEntry] = []
        for below, found in self.tree.walk(path, max_entries=MAX_FILES):
            if found.kind in {"link", "submodule"}:
                raise refused(below, found)
            name = inside(path, below) or ""
            blob = self._blob(self._read(below))
            entries.append(FileEntry(path=text_name(name), executable=found.kind == "executable", blob=blob))
        entries.sort(key=lambda file: file.path)
        return f"{FILES_PREFIX}{self._tree(FileTree(entries=tuple(entries)))}"

    def _single(self, name: str, content: bytes, *, executable: bool) -> str:
        entry = FileEntry(path=text_name(name), executable=executable, blob=self._blob(content))
        return f"{FILES_PREFIX}{self._tree(FileTree(entries=(entry,)))}/{name}"

    def _tree(self, tree: FileTree) -> str:
        """Keep `tree` and answer its name on a host."""
        digest = tree.digest
        self.trees[digest] = tree
        return digest.removeprefix("sha256:")

    def _blob(self, content: bytes) -> str:
        digest = sha256_digest(content)
        self.blobs[digest] = content
        return digest

    def _read(self, path: str) -> bytes:
        content = self.tree.read(path, max_bytes=MAX_FILE_BYTES)
        self._total_bytes += len(content)
        if self._total_bytes > MAX_TOTAL_BYTES:
            raise UserError(
                MOUNTS_TOO_LARGE,
                f"the mounted files have more than {MAX_TOTAL_BYTES} bytes",
                where=Where(file=shown(path)),
                next="put large files into an image or a volume",
            )
        return content

    def _state(self, path: str) -> str:
        """Where data of the app stays; the same when the project's folder moves within the repository.

        A path of another repository keeps its data when that one is pinned at another commit.
        """
        if is_grafted(path):
            return f"{STATE_PREFIX}{_OTHERS}/{text_name(without_commit(path))}"
        within = inside(self.folder, path)
        return f"{STATE_PREFIX}{text_name(within if within is not None else f'{_OUTSIDE_PROJECT}/{path}')}"

    def _find(self, code: FindingCode, message: str, path: str, key: str) -> None:
        self.findings.add(Finding(code=code, message=f"{shown(told(path)) or '.'}: {message}", key=key))


def text_name(name: str) -> str:
    """`name`, when it can be recorded. Raises UserError `path-not-text`."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise UserError(
            PATH_NOT_TEXT, f"the name {shown(name)!r} is not UTF-8 text", where=Where(file=shown(name))
        ) from error
    return name
