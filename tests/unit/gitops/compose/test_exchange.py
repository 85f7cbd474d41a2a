"""References to other repositories in a Compose file, exchanged at their place and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from events.kernel.errors import UserError
from gitops.compose.closure import Closure, close_over
from gitops.compose.exchange import exchanged
from gitops.compose.faults import COMPOSE_INVALID, COMPOSE_REMOTE_REFUSED
from gitops.remotes import RemoteRules, parse_prefix
from gitops.source.grafted import GraftedTree
from gitops.source.paths import PATH_ESCAPES
from gitops.source.tree import Tree
from gitops.source.worktree import WorkTree
from tests.unit.gitops.trees import tree_of, write

URL = "https://example.org/lib.git"
REF = f"{URL}#{'1' * 40}"
OTHER = f"https://example.org/other.git#{'2' * 40}"
RULES = RemoteRules(allowed=(parse_prefix("https://example.org/"),), key="policy.shop.remotes")
LIBRARY = {"compose.yml": "services: {db: {image: db}}\n", "base.yml": "services: {app: {image: app}}\n"}


def grafted(folder: Path, compose: str | bytes, library: dict[str, str] | None = None) -> Tree:
    """A project whose library stands in the tree."""
    write(folder / "lib", library or LIBRARY)
    base = tree_of(folder / "project", {"compose.yaml": compose, "own.yml": "services: {o: {image: x}}\n"})
    return GraftedTree(base, {RULES.taken(REF).graft: WorkTree(folder / "lib")})


def closed(folder: Path, compose: str | bytes, library: dict[str, str] | None = None) -> Closure:
    return close_over(grafted(folder, compose, library), "compose.yaml", remotes=RULES)


def shown_to_client(folder: Path, compose: str | bytes) -> str:
    """The Compose file as the client reads it, with `@` before the path of the tree."""
    found = closed(folder, compose)
    assert found.missing == ()
    graft = RULES.taken(REF).graft
    written = exchanged(
        "compose.yaml", found.files["compose.yaml"], found, lambda path: path.replace(graft, "/$ at")
    )
    return written.decode()


@pytest.mark.parametrize(
    ("compose", "expected"),
    [
        (f"include: ['{REF}:compose.yml']\n", 'include: ["/$$ at/compose.yml"]\n'),
        (
            f"# x\r\ninclude:\r\n- {REF}\r\n- own.yml\r\n",
            '# x\r\ninclude:\r\n- "/$$ at/compose.yml"\r\n- own.yml\r\n',
        ),
        (f'include: ["{REF}"]\n', 'include: ["/$$ at/compose.yml"]\n'),
        (
            f"include:\n- {REF} # x\n",
            'include:\n- "/$$ at/compose.yml" # x\n',
        ),
        (
            f"include: [{{path: ['{REF}', own.yml]}}]\n",
            'include: [{path: ["/$$ at/compose.yml", own.yml]}]\n',
        ),
        (
            f"# é ✓ 𝄞\nservices: {{web: {{extends: {{file: '{REF}:base.yml', service: app}}}}}}\n",
            '# é ✓ 𝄞\nservices: {web: {extends: {file: "/$$ at/base.yml", service: app}}}\n',
        ),
        (f"services: {{web: {{build: '{REF}:src'}}}}\n", 'services: {web: {build: "/$$ at/src"}}\n'),
        (
            f"services: {{web: {{build: {{context: {REF}, target: x}}}}}}\n",
            'services: {web: {build: {context: "/$$ at", target: x}}}\n',
        ),
        (
            f"include: ['{REF}']\n---\nservices: {{w: {{image: x, labels: ['{REF}']}}}}\n",
            f"include: [\"/$$ at/compose.yml\"]\n---\nservices: {{w: {{image: x, labels: ['{REF}']}}}}\n",
        ),
        (
            f"x-b: &b {{build: {{context: {REF}}}}}\nservices: {{a: {{<<: *b}}, b: {{<<: *b}}}}\n",
            'x-b: &b {build: {context: "/$$ at"}}\nservices: {a: {<<: *b}, b: {<<: *b}}\n',
        ),
        (
            f"services: {{web: {{image: x, build: '{REF}'}}}}\n",
            f"services: {{web: {{image: x, build: '{REF}'}}}}\n",
        ),
        (
            "services: {web: {build: 'https://elsewhere.example/a.git'}}\n",
            "services: {web: {build: 'https://elsewhere.example/a.git'}}\n",
        ),
        (
            f"services: {{web: {{build: '{URL}#main'}}}}\n",
            f"services: {{web: {{build: '{URL}#main'}}}}\n",
        ),
    ],
)
def test_only_the_reference_is_exchanged(tmp_path: Path, compose: str, expected: str) -> None:
    assert shown_to_client(tmp_path, compose) == expected


@pytest.mark.parametrize(
    "compose",
    [
        f"include: [&a '{REF}']\nx-a: *a\n",
        f"x-a: &a '{REF}'\ninclude: [*a]\n",
        f"include: [!!str '{REF}']\n",
        f"include:\n- >-\n  {REF}\n",
        f"include:\n- |-\n  {REF}\n",
        f'include: ["{REF[:-1]}\\x31"]\n',
        f"services: {{web: {{extends: {{file: &f {REF}, service: a}}, labels: {{a: *f}}}}}}\n",
        f"services: {{web: {{build: &f {REF}}}}}\n",
        b"\xff\xfe" + f"include: ['{REF}']\n".encode("utf-16-le"),
    ],
)
def test_a_reference_that_is_not_written_plainly_is_refused(tmp_path: Path, compose: str | bytes) -> None:
    with pytest.raises(UserError) as caught:
        closed(tmp_path, compose)
    assert caught.value.code == COMPOSE_REMOTE_REFUSED
    assert caught.value.where.line
    assert caught.value.next == "write the address itself there"


def test_a_byte_order_mark_changes_nothing(tmp_path: Path) -> None:
    compose = b"\xef\xbb\xbf" + f"include: ['{REF}']\n".encode()
    assert shown_to_client(tmp_path, compose) == 'include: ["/$$ at/compose.yml"]\n'


@pytest.mark.parametrize(
    ("compose", "key"),
    [
        (f"include: [{{path: own.yml, project_directory: '{REF}'}}]\n", "include[0].project_directory"),
        (f"include: [{{path: own.yml, env_file: '{REF}:a.env'}}]\n", "include[0].env_file"),
        (f"services: {{web: {{image: x, env_file: '{REF}:a.env'}}}}\n", "services.web.env_file"),
        (f"services: {{web: {{image: x, label_file: '{REF}:a'}}}}\n", "services.web.label_file"),
    ],
)
def test_nothing_else_may_be_one_of_another_repository(tmp_path: Path, compose: str, key: str) -> None:
    with pytest.raises(UserError) as caught:
        closed(tmp_path, compose)
    assert (caught.value.code, caught.value.where.key) == (COMPOSE_REMOTE_REFUSED, key)


def test_what_is_not_here_yet_is_missing_once_with_its_place(tmp_path: Path) -> None:
    compose = f"include:\n- {REF}\n- path: [{OTHER}:a.yml, own.yml]\n- {OTHER}:b.yml\n"
    found = closed(tmp_path, compose)
    assert [str(one.ref) for one in found.missing] == [f"{OTHER}:a.yml"]
    assert (found.missing[0].where.line, found.missing[0].where.key) == (3, "include[1].path")


@pytest.mark.parametrize(
    "text",
    [
        "include: [../../../../compose.yaml]",
        "include: [../x/compose.yml]",
        "include: [a/../../compose.yml]",
        "services: {web: {image: x, env_file: ../.env}}",
        "services: {web: {image: x, env_file: [{path: ../../../x, required: false}]}}",
        "services: {web: {extends: {file: ../a.yml, service: a}}}",
        "include: [{path: base.yml, project_directory: ..}]",
    ],
)
def test_a_file_of_another_repository_names_nothing_outside_of_it(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError) as caught:
        closed(tmp_path, f"include: ['{REF}']\n", {"compose.yml": f"{text}\n", "base.yml": "{}\n"})
    assert caught.value.code == PATH_ESCAPES
    assert caught.value.where.file == f"{RULES.taken(REF).graft}/compose.yml"


@pytest.mark.parametrize("start", ["", "./", "a/../", ".git/../"])
def test_a_graft_cannot_be_named_as_a_path(tmp_path: Path, start: str) -> None:
    graft = RULES.taken(REF).graft
    with pytest.raises(UserError) as caught:
        closed(tmp_path, f"include: ['{REF}', '{start}{graft}/base.yml']\n")
    assert caught.value.code == PATH_ESCAPES


@pytest.mark.parametrize("folder", [":nothing.yml", ":base.yml/x", ":empty"])
def test_a_file_that_the_other_repository_does_not_have_is_named(tmp_path: Path, folder: str) -> None:
    with pytest.raises(UserError) as caught:
        closed(tmp_path, f"include: ['{REF}{folder}']\n", {**LIBRARY, "empty/x": ""})
    assert caught.value.code == COMPOSE_INVALID
    assert f"{REF}{folder} has no such file" in caught.value.message
