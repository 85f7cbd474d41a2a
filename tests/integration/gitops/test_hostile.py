"""Hostile repositories, as commits: nothing of the controller is read, run or asked."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from events.kernel.errors import StagecraftError, UserError
from gitops.compose.faults import (
    COMPOSE_HOME_REFUSED,
    COMPOSE_INVALID,
    COMPOSE_KEY_REFUSED,
    COMPOSE_PATH_REFUSED,
    COMPOSE_PROGRAM_REFUSED,
    COMPOSE_REMOTE_REFUSED,
    COMPOSE_SOCKET_REFUSED,
    COMPOSE_TOO_LARGE,
    VOLUME_AMBIGUOUS,
)
from gitops.config.faults import CONFIG_INVALID
from gitops.config.load import ENVIRONMENT_UNKNOWN
from gitops.manifest import draft
from gitops.source.git import Repository as Opened
from gitops.source.paths import PATH_ESCAPES
from gitops.source.tree import FILE_TOO_LARGE, PATH_IS_LINK, PATH_IS_SUBMODULE
from tests.support.repos import Repository, git
from tests.unit.gitops.trees import SMALLEST

SECRET = "the-controllers-own-secret"  # noqa: S105  # made up, to be looked for in messages
WEB = "services: {web: {image: x"
TRAVERSALS = ("../secret.env", "a/../../secret.env", "../work-evil/secret.env")


@pytest.fixture
def outside(repository: Repository) -> Path:
    """A file beside the checkout, and one in a folder that has the checkout's name as its prefix."""
    beside = repository.work.parent / "secret.env"
    beside.write_text(f"SECRET={SECRET}\n")
    evil = repository.work.parent / "work-evil"
    evil.mkdir()
    (evil / "secret.env").write_text(f"SECRET={SECRET}\n")
    return beside


def refusal(repository: Repository, environment: str = "prod") -> StagecraftError:
    """The error of rendering what is committed and pushed, from the bare origin."""
    repository.commit({})
    with Opened(repository.origin) as opened, pytest.raises(StagecraftError) as caught:
        asyncio.run(draft(opened.tree("main"), environment=environment, version="v1"))
    assert isinstance(caught.value, UserError)
    text = f"{caught.value}{caught.value.next}{caught.value!r}"
    assert SECRET not in text
    assert "\x1b" not in text
    return caught.value


def with_compose(repository: Repository, compose: str) -> None:
    repository.write({**SMALLEST, "compose.yaml": compose})


@pytest.mark.parametrize("path", TRAVERSALS)
@pytest.mark.parametrize(
    "compose",
    [
        WEB + ", env_file: 'PATH'}}",
        WEB + ", env_file: [{path: 'PATH', required: false}]}}",
        WEB + ", label_file: 'PATH'}}",
        WEB + ", extends: {file: 'PATH', service: web}}}",
        WEB + ", volumes: ['./PATH:/x']}}",
        WEB + ", configs: [c]}}\nconfigs: {c: {file: 'PATH'}}",
        WEB + ", secrets: [c]}}\nsecrets: {c: {file: 'PATH'}}",
        "include: ['PATH']",
        "include: [{path: a.yml, project_directory: 'PATH'}]",
        "include: [{path: a.yml, env_file: 'PATH'}]",
    ],
)
@pytest.mark.usefixtures("outside")
def test_no_path_leaves_the_repository(repository: Repository, compose: str, path: str) -> None:
    repository.write({"a.yml": "services: {web: {image: x}}"})
    with_compose(repository, compose.replace("PATH", path))
    assert refusal(repository).code == PATH_ESCAPES


@pytest.mark.parametrize("path", ["../x", "a/../../x", "../../../../../../../../etc", "././/../x"])
@pytest.mark.parametrize(
    "compose",
    [
        WEB + ", volumes: ['${PWD}/PATH:/x']}}",
        WEB + ", volumes: [{type: bind, source: '$PWD/PATH', target: /x}]}}",
        WEB + ", volumes: ['vol:/x']}}\nvolumes: {vol: {driver_opts: {o: bind, device: '${PWD}/PATH'}}}",
        WEB + ", configs: [c]}}\nconfigs: {c: {file: '${PWD}/PATH'}}",
        WEB + ", environment: {D: PATH}, env_file: '${F:-/etc/x}'}}",
    ],
)
def test_no_path_leaves_the_repository_from_the_working_folder(
    repository: Repository, compose: str, path: str
) -> None:
    """Compose writes such a path as it stands, so nobody has worked out its `..`."""
    with_compose(repository, compose.replace("PATH", path).replace("/etc/x", f"$PWD/{path}"))
    assert refusal(repository).code in {PATH_ESCAPES, COMPOSE_PATH_REFUSED}


@pytest.mark.parametrize("kind", ["absolute", "relative", "dangling", "loop", "chain", "folder"])
@pytest.mark.parametrize(
    "compose",
    [
        WEB + ", env_file: trap/f}}",
        WEB + ", env_file: trap}}",
        WEB + ", volumes: ['./trap:/x']}}",
        WEB + ", volumes: ['./holder:/x']}}",
        WEB + ", configs: [c]}}\nconfigs: {c: {file: trap}}",
        "include: [trap]",
        "include: [trap/f]",
    ],
)
def test_no_link_is_followed(repository: Repository, outside: Path, compose: str, kind: str) -> None:
    targets = {
        "absolute": str(outside),
        "relative": "../secret.env",
        "dangling": "/nowhere/at/all",
        "loop": "trap",
        "chain": "second",
        "folder": "real",
    }
    repository.write({"real/f": "X=1", "holder/plain": ""})
    (repository.work / "second").symlink_to(outside)
    (repository.work / "trap").symlink_to(targets[kind])
    (repository.work / "holder/trap").symlink_to(targets[kind])
    with_compose(repository, compose)
    error = refusal(repository)
    assert error.code == PATH_IS_LINK
    assert "trap" in error.message


@pytest.mark.parametrize("path", ["stagecraft.yml", "compose.yaml", ".env", "environments/prod.yml"])
def test_our_own_files_are_no_links_either(repository: Repository, outside: Path, path: str) -> None:
    repository.write(SMALLEST)
    target = repository.work / path
    target.parent.mkdir(exist_ok=True)
    target.unlink(missing_ok=True)
    target.symlink_to(outside)
    assert refusal(repository).code == PATH_IS_LINK


def test_a_submodule_is_not_looked_into(repository: Repository) -> None:
    with_compose(repository, WEB + ", volumes: ['./sub:/x']}}")
    repository.commit({".gitmodules": '[submodule "../../x"]\n  path = sub\n  url = -oProxyCommand=x\n'})
    git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},sub", cwd=repository.work)
    git("commit", "-qm", "sub", cwd=repository.work)
    repository.push()
    with Opened(repository.origin) as opened, pytest.raises(UserError) as caught:
        asyncio.run(draft(opened.tree("main"), environment="prod", version="v1"))
    assert caught.value.code == PATH_IS_SUBMODULE


@pytest.mark.parametrize(
    ("compose", "code"),
    [
        (WEB + ", env_file: /proc/self/environ}}", COMPOSE_PATH_REFUSED),
        (WEB + ", env_file: '${D}/passwd'}}", COMPOSE_PATH_REFUSED),
        (WEB + ", env_file: ~/.bashrc}}", COMPOSE_HOME_REFUSED),
        (WEB + ", extends: {file: /etc/passwd, service: x}}}", COMPOSE_PATH_REFUSED),
        (WEB + ", provider: {type: /bin/touch, options: {a: b}}}}", COMPOSE_PROGRAM_REFUSED),
        (WEB + ", use_api_socket: true}}", COMPOSE_SOCKET_REFUSED),
        (WEB + ", volumes: ['d:/data']}}", VOLUME_AMBIGUOUS),
        (WEB + ", volumes: ['${D:-d}:/data']}}", VOLUME_AMBIGUOUS),
        (WEB + ", volumes: ['~/.ssh:/x']}}", COMPOSE_HOME_REFUSED),
        (WEB + ", volumes: ['${HOME}/.ssh:/x']}}", COMPOSE_HOME_REFUSED),
        (WEB + ", security_opt: ['seccomp:/root/.docker/config.json']}}", COMPOSE_PATH_REFUSED),
        (WEB + ", labels: {'a$b': c}}}", COMPOSE_KEY_REFUSED),
        ("include: ['https://github.com/o/r.git']", COMPOSE_REMOTE_REFUSED),
        ("include: ['git@169.254.169.254:o/r.git']", COMPOSE_REMOTE_REFUSED),
        ("include: ['oci://127.0.0.1:5000/x']", COMPOSE_REMOTE_REFUSED),
        ("include: ['${D:-/etc}/passwd']", COMPOSE_PATH_REFUSED),
        (WEB + ", command: !!python/object/apply:os.system [x]}}", COMPOSE_INVALID),
    ],
)
def test_compose_files_cannot_reach_out(repository: Repository, compose: str, code: str) -> None:
    with_compose(repository, compose)
    assert refusal(repository).code == code


@pytest.mark.parametrize(
    "name", ["../prod", "/etc/passwd", "prod\n", "a\0b", "\x1b[31m", "p" * 10_000, "-x", "."]
)
def test_an_environments_name_reaches_no_path(repository: Repository, name: str) -> None:
    repository.write(SMALLEST)
    error = refusal(repository, environment=name)
    assert error.code == ENVIRONMENT_UNKNOWN
    assert len(error.message) < 600


@pytest.mark.parametrize(
    "content",
    [
        "project: {name: a}\nenvironments: {prod: !!python/object/apply:os.system [x]}\n",
        "project: {name: '../../x'}\nenvironments: {prod: }\n",
        'project: {name: "a\\u202eb"}\nenvironments: {prod: }\n',
        "project: {name: '<script>'}\nenvironments: {prod: }\n",
        "project: {name: a}\nhosts: {app: ['-oProxyCommand=x']}\nenvironments: {prod: }\n",
        "project: {name: a}\nservices: {'../x': }\nenvironments: {prod: }\n",
        "project: {name: a}\nenvironments: {prod: {compose_project: '../x'}}\n",
    ],
)
def test_names_in_stagecraft_yml_are_safe_everywhere(repository: Repository, content: str) -> None:
    repository.write({**SMALLEST, "stagecraft.yml": content})
    assert refusal(repository).code == CONFIG_INVALID


def bomb(root: str) -> str:
    lines = ["x-0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"x-{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    return "\n".join([*lines, root])


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({"compose.yaml": bomb("services: {web: {image: x, command: *a8}}")}, COMPOSE_INVALID),
        ({"stagecraft.yml": bomb("project: {name: a}")}, CONFIG_INVALID),
        ({"compose.yaml": "[" * 100_000}, COMPOSE_INVALID),
        ({"stagecraft.yml": "{a: " * 100_000}, CONFIG_INVALID),
        (
            {"compose.yaml": "services:\n" + "".join(f"  s{n}: {{image: x}}\n" for n in range(40_000))},
            COMPOSE_INVALID,
        ),
        ({"compose.yaml": "#" * (1024 * 1024 + 1)}, FILE_TOO_LARGE),
        ({"stagecraft.yml": "#" * (1024 * 1024 + 1)}, FILE_TOO_LARGE),
        ({"compose.yaml": WEB + ", env_file: big}}", "big": b"\0" * (2 * 1024 * 1024)}, FILE_TOO_LARGE),
        (
            {"compose.yaml": WEB + ", volumes: ['./big:/x']}}", "big": b"\0" * (9 * 1024 * 1024)},
            FILE_TOO_LARGE,
        ),
        ({"compose.yaml": b"services: \xff\xfe"}, COMPOSE_INVALID),
    ],
)
def test_what_is_too_much_ends_quickly(
    repository: Repository, files: dict[str, str | bytes], code: str
) -> None:
    repository.write({**SMALLEST, **files})
    repository.commit({})
    started = time.monotonic()
    assert refusal(repository).code == code
    assert time.monotonic() - started < 5


def test_an_output_that_would_fill_the_memory_is_stopped(repository: Repository) -> None:
    variables = "".join(f"V{number}={'x' * 1000}\n" for number in range(1000))
    services = "".join(f"  s{number}: {{image: x, env_file: big.env}}\n" for number in range(1000))
    repository.write({**SMALLEST, "compose.yaml": f"services:\n{services}", "big.env": variables})
    assert refusal(repository).code == COMPOSE_TOO_LARGE


def test_other_environments_are_not_touched_by_one_that_is_hostile(repository: Repository) -> None:
    repository.commit({**SMALLEST, "environments/bad.yml": "services: {gone: }\n"})
    with Opened(repository.origin) as opened:
        tree = opened.tree("main")
        with pytest.raises(UserError):
            asyncio.run(draft(tree, environment="bad", version="v1"))
        assert asyncio.run(draft(tree, environment="prod", version="v1")).images == {"web": "web:1"}
