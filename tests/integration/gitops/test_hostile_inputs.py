"""One test for each kind of hostile repository that reviews of other controllers have found.

| what the repository tries                                | where it is tried                         |
| --- | --- |
| a project file above the root, or by an absolute path    | here                                      |
| a path beside the checkout that shares its name's start   | test_hostile.py                           |
| links: absolute, upwards, chain, loop, dangling, folder  | test_hostile.py, and here for parents     |
| a file that becomes a link between check and read         | test_worktree.py, test_local_state.py    |
| addresses that are options or helpers                    | here, test_address.py                     |
| submodules                                               | test_hostile.py                           |
| another host's include                                   | test_hostile.py, here                     |
| bombs: aliases, sizes, numbers of files and services     | test_hostile.py, here                     |
| tags that make objects                                   | test_hostile.py                           |
| entries of a tree that lead elsewhere                    | here                                      |
| rights on the host                                       | controller/test_policy.py                 |
| another's container, name or port                        | converge/test_conflicts.py, test_checks.py |
| programs: build, provider, hooks, substitution           | here, test_hostile.py                     |
| names that break paths, terminals or pages               | here, test_hostile.py                     |
| nothing at all, so that everything would be removed      | controller/test_never_prunes.py           |
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from events.kernel.errors import StagecraftError, UserError
from gitops.builds.spec import BUILD_UNSUPPORTED
from gitops.compose.faults import (
    COMPOSE_HOME_REFUSED,
    COMPOSE_INVALID,
    COMPOSE_KEY_REFUSED,
    COMPOSE_PROGRAM_REFUSED,
    COMPOSE_REMOTE_REFUSED,
    COMPOSE_TOO_LARGE,
    VOLUME_AMBIGUOUS,
)
from gitops.config.load import CONFIG_NOT_FOUND
from gitops.manifest import Draft, draft
from gitops.source.git import Repository as Opened
from gitops.source.paths import PATH_ESCAPES
from gitops.source.tree import FILE_TOO_LARGE, PATH_IS_LINK, TREE_TOO_LARGE
from tests.support.repos import Repository, git
from tests.unit.gitops.trees import SMALLEST

WEB = "services: {web: {image: x"


def drafted(repository: Repository, *, config_path: str = "stagecraft.yml") -> Draft:
    """What the commit at the tip of the bare origin renders to."""
    with Opened(repository.origin) as opened:
        tree = opened.tree("main")
        return asyncio.run(draft(tree, config_path=config_path, environment="prod", version="v1"))


def refused(repository: Repository, *, config_path: str = "stagecraft.yml") -> StagecraftError:
    """The error, which has to be the repository's and fit for a terminal."""
    with pytest.raises(UserError) as caught:
        drafted(repository, config_path=config_path)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 10_000
    return caught.value


def compose(repository: Repository, text: str, **files: str | bytes) -> None:
    repository.commit({**SMALLEST, "compose.yaml": text, **files})


@pytest.mark.parametrize(
    "path", ["../other/stagecraft.yml", "/etc/passwd", "a/../../x", "stagecraft.yml/../../x", "\0", ""]
)
def test_a_project_file_elsewhere_is_not_found(repository: Repository, path: str) -> None:
    repository.commit(SMALLEST)
    assert refused(repository, config_path=path).code == CONFIG_NOT_FOUND


def test_what_an_image_is_built_from_lies_in_the_repository(repository: Repository) -> None:
    project = "project: {name: a}\nservices: {web: {paths: ['../../etc']}}\nenvironments: {prod: }\n"
    compose(repository, WEB + ", build: .}}", **{"stagecraft.yml": project})
    assert refused(repository).code == PATH_ESCAPES


@pytest.mark.parametrize(
    "compose_text",
    [
        WEB + ", env_file: a/b/f}}",
        WEB + ", label_file: a/b/f}}",
        WEB + ", extends: {file: a/b/f, service: web}}}",
        WEB + ", volumes: ['./a/b:/x']}}",
        WEB + ", volumes: ['./a/b/f:/x']}}",
        WEB + ", configs: [c]}}\nconfigs: {c: {file: a/b/f}}",
        WEB + ", secrets: [c]}}\nsecrets: {c: {file: a/b/f}}",
        "include: [a/b/f]",
        "include: [{path: x.yml, env_file: a/b/f}]",
        "include: [{path: x.yml, project_directory: a/b}]\n" + WEB + ", env_file: f}}",
    ],
)
def test_a_link_in_a_parent_folder_is_a_link(repository: Repository, compose_text: str) -> None:
    repository.write({"real/b/f": WEB + "}}", "x.yml": "services: {o: {image: x, env_file: f}}"})
    (repository.work / "a").symlink_to("real")
    compose(repository, compose_text)
    error = refused(repository)
    assert error.code == PATH_IS_LINK
    assert "'a'" in error.message or "a is a symbolic link" in error.message


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("include: ['--upload-pack=touch x']", COMPOSE_INVALID),
        ("include: ['ext::sh -c touch% /tmp/x']", COMPOSE_REMOTE_REFUSED),
        ("include: ['file:///etc/passwd']", COMPOSE_REMOTE_REFUSED),
        ("include: ['ssh://-oProxyCommand=x/y']", COMPOSE_REMOTE_REFUSED),
        ("include: ['http://169.254.169.254/latest']", COMPOSE_REMOTE_REFUSED),
        ("include: ['github.com/o/r']", COMPOSE_REMOTE_REFUSED),
        ("include: [{path: 'oci://example.org/x:1'}]", COMPOSE_REMOTE_REFUSED),
        (WEB + ", extends: {file: 'https://example.org/c.yml', service: web}}}", COMPOSE_REMOTE_REFUSED),
        (WEB + ', env_file: "a\\nb"}}', PATH_ESCAPES),
        (WEB + ", provider: {type: ./run.sh}}}", COMPOSE_PROGRAM_REFUSED),
        (WEB + ", provider: &p {type: x}}, b: {image: x, provider: *p}}", COMPOSE_PROGRAM_REFUSED),
        ("x-s: &s {provider: {type: x}}\nservices: {web: {<<: *s, image: x}}", COMPOSE_PROGRAM_REFUSED),
        ("{services: {web: {image: x}}}\n---\nservices: {b: {provider: {type: x}}}", COMPOSE_PROGRAM_REFUSED),
        (WEB + ", volumes: ['c:/x']}}", VOLUME_AMBIGUOUS),
        (WEB + ", volumes: ['c:x']}}", VOLUME_AMBIGUOUS),
        (WEB + ", environment: {'a$$b': c}}}", COMPOSE_KEY_REFUSED),
        (WEB + ", environment: {A: '${HOME}'}}}", COMPOSE_HOME_REFUSED),
        (WEB + ", environment: {A: '$HOME/.ssh'}}}", COMPOSE_HOME_REFUSED),
        (WEB + ", environment: {A: '${B:-${HOME}}'}}}", COMPOSE_HOME_REFUSED),
        (WEB + ", volumes: [{type: bind, source: '~', target: /x}]}}", COMPOSE_HOME_REFUSED),
        (WEB + ", configs: [c]}}\nconfigs: {c: {file: ~/.ssh/id_rsa}}", COMPOSE_HOME_REFUSED),
        (WEB + ", build: 'https://example.org/r.git'}}", ""),
    ],
)
def test_nothing_is_fetched_run_or_read_elsewhere(repository: Repository, text: str, code: str) -> None:
    compose(repository, text)
    if code:
        assert refused(repository).code == code
    else:
        assert "build" not in drafted(repository).hosts["local"].document["services"]["web"]


@pytest.mark.parametrize(
    "value", ["$(touch ran)", "`touch ran`", "; touch ran", "| touch ran", "\\$(touch ran)"]
)
def test_what_looks_like_a_shell_is_text(repository: Repository, value: str) -> None:
    text = WEB + ", environment: {A: '${V}'}, env_file: e, command: ['${V}']}}"
    compose(repository, text, **{".env": f"V='{value}'\n", "e": f"B='{value}'\n"})
    web: dict[str, Any] = drafted(repository).hosts["local"].document["services"]["web"]
    assert web["environment"] == {"A": value.replace("$", "$$"), "B": value.replace("$", "$$")}
    assert not (repository.work / "ran").exists()


def test_a_build_that_asks_for_the_host_is_refused(repository: Repository) -> None:
    dockerfile = "FROM scratch\nRUN touch /ran\n"
    compose(repository, "services: {web: {build: {context: ., network: host}}}", Dockerfile=dockerfile)
    assert refused(repository).code == BUILD_UNSUPPORTED


def test_a_render_starts_no_build(repository: Repository) -> None:
    dockerfile = "FROM scratch\nRUN touch /ran\n"
    compose(repository, "services: {web: {build: .}}", Dockerfile=dockerfile)
    made = drafted(repository)
    assert set(made.builds) == {"web"}
    assert "build" not in made.hosts["local"].document["services"]["web"]


def test_the_dotenv_of_an_included_folder_does_not_speak(repository: Repository) -> None:
    files = {"sub/c.yml": WEB + ", environment: {A: '${V:-none}'}}}", "sub/.env": "V=evil\n"}
    compose(repository, "include: [sub/c.yml]", **files)
    made = drafted(repository)
    assert made.hosts["local"].document["services"]["web"]["environment"] == {"A": "none"}


@pytest.mark.parametrize("name", [b"..", b".", b".git", b"a/../../b"])
def test_an_entry_of_a_tree_that_leads_elsewhere_is_refused(repository: Repository, name: bytes) -> None:
    """A tree that `git add` would never write, as a hand-made push can bring it."""
    compose(repository, WEB + ", volumes: ['./d:/d']}}", **{"d/f": "x"})
    blob = bytes.fromhex(git("rev-parse", "HEAD:d/f", cwd=repository.work))
    evil = written(repository, "tree", b"100644 " + name + b"\0" + blob)
    root = b"".join(
        f"{mode} {entry}".encode() + b"\0" + bytes.fromhex(evil if entry == "d" else object_id)
        for mode, entry, object_id in entries(repository)
    )
    tree = written(repository, "tree", root)
    commit = git("commit-tree", tree, "-m", "evil", cwd=repository.work)
    git("update-ref", "refs/heads/main", commit, cwd=repository.work)
    with Opened(repository.work) as opened, pytest.raises(UserError) as caught:
        asyncio.run(draft(opened.tree("main"), environment="prod", version="v1"))
    assert caught.value.code == PATH_ESCAPES


def entries(repository: Repository) -> list[tuple[str, str, str]]:
    """Mode, name and object id of what stands in the root of HEAD."""
    rows = git("ls-tree", "HEAD", cwd=repository.work).splitlines()
    split = [(row.partition("\t")[0].split(), row.partition("\t")[2]) for row in rows]
    return [(mode.lstrip("0"), name, object_id) for (mode, _kind, object_id), name in split]


def written(repository: Repository, kind: str, content: bytes) -> str:
    """Write a raw object, whatever it says, and answer its name."""
    command = ["git", "hash-object", "-t", kind, "-w", "--stdin", "--literally"]
    done = subprocess.run(command, cwd=repository.work, input=content, capture_output=True, check=True)
    return done.stdout.decode().strip()


@pytest.mark.parametrize(
    "name",
    ["../x", "a/b", "\x1b[31mred", "<script>alert(1)</script>", "a\u202eb", "w" * 10_000, "w eb", ""],
)
def test_a_service_name_that_breaks_something_is_refused(repository: Repository, name: str) -> None:
    compose(repository, json.dumps({"services": {name: {"image": "x"}}}))
    error = refused(repository)
    assert error.code in {COMPOSE_INVALID, "compose-path-unsupported"}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (
            "services:\n" + "".join(f"  s{n}: {{image: x}}\n" for n in range(100_000))[:1_000_000],
            COMPOSE_INVALID,
        ),
        ("services:\n" + "".join(f"  s{n}: {{image: x}}\n" for n in range(100_000)), FILE_TOO_LARGE),
        ("include: [" + ",".join(f"i{n}.yml" for n in range(10)) + "]", COMPOSE_TOO_LARGE),
    ],
)
def test_too_many_values_end_before_compose_starts(repository: Repository, text: str, code: str) -> None:
    compose(repository, text, **{f"i{n}.yml": "x-a: [" + "a," * 65_000 + "a]" for n in range(10)})
    started = time.process_time()
    assert refused(repository).code == code
    assert time.process_time() - started < 20


def test_a_folder_of_a_million_files_is_measured_and_not_read(repository: Repository) -> None:
    compose(repository, WEB + ", volumes: ['./d:/d']}}", **{"d/f": "x"})
    blob = bytes.fromhex(git("rev-parse", "HEAD:d/f", cwd=repository.work))
    many = written(repository, "tree", b"".join(b"100644 %07d\0" % n + blob for n in range(1_000_000)))
    root = b"".join(
        f"{mode} {entry}".encode() + b"\0" + bytes.fromhex(many if entry == "d" else object_id)
        for mode, entry, object_id in entries(repository)
    )
    commit = git("commit-tree", written(repository, "tree", root), "-m", "many", cwd=repository.work)
    with Opened(repository.work) as opened, pytest.raises(UserError) as caught:
        asyncio.run(draft(opened.tree(commit), environment="prod", version="v1"))
    assert caught.value.code == TREE_TOO_LARGE


@pytest.mark.slow
def test_a_file_of_a_gigabyte_is_measured_and_not_read(repository: Repository) -> None:
    repository.write({**SMALLEST, "compose.yaml": WEB + ", env_file: big, volumes: ['./big:/x']}}"})
    with (repository.work / "big").open("wb") as file:
        file.truncate(1 << 30)
    git("config", "core.compression", "1", cwd=repository.work)
    git("add", "--all", cwd=repository.work)
    git("commit", "--quiet", "--message", "big", cwd=repository.work)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with Opened(repository.work) as opened, pytest.raises(UserError) as caught:
        asyncio.run(draft(opened.tree("main"), environment="prod", version="v1"))
    assert caught.value.code == FILE_TOO_LARGE
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


BOMBS: dict[str, dict[str, str | bytes]] = {
    "many services": {
        "compose.yaml": "services:\n" + "".join(f"  s{n}: {{image: x}}\n" for n in range(24_000))
    },
    "many values": {
        "compose.yaml": "services:\n" + "".join(f"  s{n}: {{image: x, env_file: e}}\n" for n in range(100)),
        "e": "".join(f"V{n}=\n" for n in range(4_000)),
    },
    "one long value many times": {
        "compose.yaml": "services: {web: {image: x, command: [" + "'${V}'," * 20_000 + "]}}",
        ".env": "V=" + "x" * 900_000,
    },
    "many bytes to mount": {
        "compose.yaml": WEB + ", volumes: ['./d:/d']}}",
        **{f"d/{n}": os.urandom(7 * 1024 * 1024) for n in range(8)},
    },
}


@pytest.mark.parametrize(
    "bomb",
    [pytest.param(name, marks=[pytest.mark.slow] if name == "many services" else []) for name in BOMBS],
)
def test_a_render_needs_less_than_200_megabytes_whatever_it_is_given(
    repository: Repository, bomb: str, tmp_path: Path
) -> None:
    """The largest process of `config render`, the client included, as the system measured it."""
    repository.commit({**SMALLEST, **BOMBS[bomb]}, push=False)
    peak = peak_megabytes(repository.work, home=tmp_path / "home")
    assert peak < 200


def peak_megabytes(work: Path, *, home: Path) -> int:
    """Resident memory of the command, and of the largest process it waited for."""
    measure = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=110)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
    )
    command: list[str | Path] = [Path(sys.executable).parent / "stagecraft", "--home", home]
    command += ["config", "render", "--env", "prod", "--no-pin", "--json"]
    done = subprocess.run(
        [sys.executable, "-I", "-c", measure, *command],
        cwd=work,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return int(done.stdout) // 1024
