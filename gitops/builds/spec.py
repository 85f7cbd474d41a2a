"""What is built for a service that has `build:` and no `image:`.

The image is named by what it is made from: the files that the builder would get, after `.dockerignore`, or
what the service's `paths` name when they are given; the arguments, the target, the platform. So an unchanged
text means an unchanged image, a pin given once stays, and a commit that touches nothing of it builds nothing.
Base images and what a build fetches are not part of the name: a build is not repeated because they moved.

Only files of the commit are sent; a link or a submodule among them is refused, unless it is ignored. What
only BuildKit can do is refused by name, because leaving it out would build something else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from events.kernel.canonical import digest_of, sha256_digest
from events.kernel.errors import UserError, Where, error_code
from events.kernel.redact import REDACT
from gitops.builds.ignore import ignored
from gitops.compose.files import text_name
from gitops.compose.portable import COMMIT_PREFIX
from gitops.findings import Finding, FindingCode
from gitops.grafts import is_grafted, resolve_within, split_graft
from gitops.renderkey import identity
from gitops.source.paths import escapes, inside, join, resolve, shown
from gitops.source.tree import PATH_MISSING, Entry, Tree, readable, refused

BUILD_UNSUPPORTED = error_code(
    "build-unsupported", "A service's build: asks for what Stagecraft does not build."
)
BUILD_TOO_LARGE = error_code("build-too-large", "The files that an image is built from are too large.")

MAX_FILES = 20_000
MAX_CONTEXT_BYTES = 256 * 1024 * 1024
MAX_FILE_BYTES = 64 * 1024 * 1024
LOCAL_REGISTRY = "stagecraft.local"  # belongs to nobody, so no registry is ever asked for it
_BUILDER = 1  # raised when the same files would be sent to the builder in another way
_MAX_DOCKERFILE_BYTES = 1024 * 1024
_MAX_IGNORE_BYTES = 1024 * 1024
_IGNORE_FILE = ".dockerignore"
_INJECTED = ".stagecraft.Dockerfile"  # one that stands outside of the context, or in the Compose file
_UNDERSTOOD = frozenset({"context", "dockerfile", "dockerfile_inline", "args", "target", "labels"})
_HARMLESS = frozenset({"cache_from", "cache_to", "no_cache", "pull", "tags"})  # the same image without them
_KEY_DIGITS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextFile:
    """A file that is sent."""

    name: str  # in the archive
    path: str | None  # in the tree; None: it is `content`
    entry: Entry | None = None
    content: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """One image that is to be built."""

    service: str
    ref: str  # what the image is called: repository and a tag that says what it is made from
    dockerfile: str  # its name in the archive
    files: tuple[ContextFile, ...]  # sorted by name
    args: Mapping[str, str]
    labels: Mapping[str, str]
    target: str | None
    platform: str | None
    pushed: bool  # the name is one of the project's registry
    inputs: frozenset[str]  # paths of the tree that decide what is built


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """What all builds of a render share."""

    tree: Tree
    folder: str  # of the project, from the root of the tree
    name: str
    registry: str | None  # where images go; None: they stay on the engine


def is_built(service: Mapping[str, Any]) -> bool:
    """Whether a rendered service has `build:` and no `image:`."""
    return bool(service.get("build")) and not service.get("image")


def plan_build(
    project: Project, name: str, service: Mapping[str, Any], *, paths: Sequence[str] | None
) -> Build:
    """The build of one rendered service; reads listings and at most two files.

    Raises UserError `build-unsupported`, `build-too-large`, `path-missing`, `path-is-link`,
    `path-is-submodule`, `path-not-file`, `path-not-text`, `file-too-large`, `tree-too-large` or
    `path-escapes`.
    """
    options: dict[str, Any] = service["build"]
    key = f"services.{name}.build"
    _refuse_unknown(options, key=key, service=name)
    context = _context_of(project, service, name)
    files = {file.name: file for file in _context_files(project.tree, context, key=key)}
    dockerfile = _dockerfile(project.tree, context, options, files)
    declared = None if paths is None else {resolve(project.folder, path) for path in paths}
    if is_grafted(context):
        declared = None  # `paths` are the repository's own, and nothing of it is in the image
    own_file = files[dockerfile].path
    args, labels = _texts(options.get("args")), _texts(options.get("labels"))
    platform: str | None = service.get("platform")
    target: str | None = options.get("target") or None
    made_from: dict[str, Any] = {
        "builder": _BUILDER,
        "files": _identities(files.values()) if declared is None else _declared(project, declared),
        "dockerfile": [dockerfile, _identities([files[dockerfile]])],
        "args": args,
        "labels": labels,
        "target": target,
        "platform": platform,
    }
    tag = digest_of(made_from).removeprefix("sha256:")[:_KEY_DIGITS]
    repository = project.registry or f"{LOCAL_REGISTRY}/{project.name}"
    return Build(
        service=name,
        ref=f"{repository}/{name.lower()}:{tag}",
        dockerfile=dockerfile,
        files=tuple(sorted(files.values(), key=lambda file: file.name)),
        args=args,
        labels=labels,
        target=target,
        platform=platform,
        pushed=project.registry is not None,
        inputs=frozenset({*(declared or {context}), *([own_file] if own_file is not None else [])}),
    )


def _context_of(project: Project, service: Mapping[str, Any], name: str) -> str:
    """The folder of the tree that a service is built from. Raises UserError `build-unsupported`."""
    context = str(service["build"].get("context") or "")
    if context.rstrip("/") == COMMIT_PREFIX.rstrip("/"):
        return ""
    if not context.startswith(COMMIT_PREFIX):
        raise UserError(
            BUILD_UNSUPPORTED,
            f"service {name!r} is built from {shown(REDACT(context))!r}, which is no folder of the commit",
            where=Where(service=name, key=f"services.{name}.build.context"),
            next="name a folder of the repository, or one of another that policy."
            f"{project.name}.remotes in controller.yml allows, as https://host/org/app.git#<40 hex digits>",
        )
    return context.removeprefix(COMMIT_PREFIX).replace("$$", "$")


def ignored_options(name: str, service: Mapping[str, Any]) -> list[Finding]:
    """Findings about options of `build:` that change nothing here."""
    return [
        Finding(
            code=FindingCode.BUILD_OPTION_IGNORED,
            message=f"{option} does not change how Stagecraft builds",
            key=f"services.{name}.build.{option}",
        )
        for option in sorted(_HARMLESS & service["build"].keys())
    ]


def _texts(section: dict[str, Any] | None) -> dict[str, str]:
    """The entries that have a value; Compose leaves those without one to variables that nobody has set."""
    return {
        name: str(value).replace("$$", "$") for name, value in (section or {}).items() if value is not None
    }


def _refuse_unknown(options: Mapping[str, Any], *, key: str, service: str) -> None:
    unknown = sorted(
        option
        for option, value in options.items()
        if option not in _UNDERSTOOD | _HARMLESS and value not in (None, [], {}, "", False)
    )
    if unknown:
        raise UserError(
            BUILD_UNSUPPORTED,
            f"service {service!r} is built with {', '.join(unknown)}, which is not supported",
            where=Where(service=service, key=f"{key}.{unknown[0]}"),
            next="build the image in CI and name it with image:",
        )


def _context_files(tree: Tree, context: str, *, key: str) -> list[ContextFile]:
    """All files below `context` but those that its `.dockerignore` leaves out."""
    entry = tree.entry(context)
    if entry is not None and entry.kind in {"link", "submodule"}:
        raise refused(context, entry)
    if entry is None or entry.kind != "folder":
        raise UserError(
            PATH_MISSING,
            f"{shown(context) or '.'} is no folder of the commit",
            where=Where(file=shown(context), key=f"{key}.context"),
        )
    left_out = ignored(_ignore_text(tree, context))
    found: list[ContextFile] = []
    total = 0
    for path, below in tree.walk(context, max_entries=MAX_FILES):
        name = inside(context, path) or ""
        if name in left_out:
            continue
        if below.kind in {"link", "submodule"}:
            raise refused(path, below)
        readable(path, below, max_bytes=MAX_FILE_BYTES)
        text_name(name)
        total += below.size_bytes
        if total > MAX_CONTEXT_BYTES:
            raise UserError(
                BUILD_TOO_LARGE,
                f"the build context has more than {MAX_CONTEXT_BYTES} bytes",
                where=Where(file=shown(context), key=f"{key}.context"),
                next=f"leave out what the build does not need with {join(context, _IGNORE_FILE)}",
            )
        found.append(ContextFile(name=name, path=path, entry=below))
    return found


def _ignore_text(tree: Tree, context: str) -> str:
    path = join(context, _IGNORE_FILE)
    if tree.entry(path) is None:
        return ""
    return tree.read(path, max_bytes=_MAX_IGNORE_BYTES).decode(errors="replace")


def _dockerfile(tree: Tree, context: str, options: Mapping[str, Any], files: dict[str, ContextFile]) -> str:
    """The Dockerfile's name in the archive; one that is not among `files` is put there."""
    inline = options.get("dockerfile_inline")
    if inline:
        files[_INJECTED] = ContextFile(
            name=_INJECTED, path=None, content=str(inline).replace("$$", "$").encode()
        )
        return _INJECTED
    path = _in_tree(str(options.get("dockerfile") or "Dockerfile"), context)
    entry = readable(path, tree.entry(path), max_bytes=_MAX_DOCKERFILE_BYTES)
    name = inside(context, path)
    name = name if name in files else _INJECTED
    files[name] = ContextFile(name=name, path=path, entry=entry)
    return name


def _in_tree(dockerfile: str, context: str) -> str:
    """A Dockerfile's path in the tree, which is the context's own; Compose writes some from the root.

    Raises UserError `path-escapes`.
    """
    if not dockerfile.startswith(COMMIT_PREFIX):
        return resolve_within(context, dockerfile.replace("$$", "$"))
    path = dockerfile.removeprefix(COMMIT_PREFIX).replace("$$", "$")
    if split_graft(path)[0] != split_graft(context)[0]:
        raise escapes(path, "it is in another repository than what is built")
    return path


def _identities(files: Iterable[ContextFile]) -> list[list[str]]:
    """What the files are, by name and content."""
    return sorted([file.name, _identity(file)] for file in files)


def _identity(file: ContextFile) -> str:
    if file.entry is None:
        return sha256_digest(file.content)
    return f"{file.entry.kind}:{file.entry.object_id}"


def _declared(project: Project, paths: Iterable[str]) -> list[list[str | None]]:
    """What stands at the paths that the service says its image is made from."""
    return [[path, identity(project.tree, path)] for path in sorted(paths)]
