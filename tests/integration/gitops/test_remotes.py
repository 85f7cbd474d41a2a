"""Files of other repositories, allowed and pinned: rendered as Compose renders them when they lie here."""

from __future__ import annotations

import asyncio
import json
import subprocess
import tarfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from events.kernel.compose_client import compose_client, compose_environment
from events.kernel.errors import OutsideError, UserError
from gitops import grafting as module
from gitops.builds.archive import write_archive
from gitops.builds.spec import BUILD_UNSUPPORTED
from gitops.compose.faults import COMPOSE_INVALID, COMPOSE_REMOTE_REFUSED
from gitops.grafting import MAX_REMOTE_DEPTH
from gitops.manifest import Draft, draft
from gitops.remotes import RemoteRef, RemoteRules, parse_prefix
from gitops.renderkey import same_inputs
from gitops.source.absent import REVISION_MISSING
from gitops.source.exchange import GIT_UNREACHABLE
from gitops.source.paths import PATH_ESCAPES
from gitops.source.tree import PATH_IS_LINK, Tree
from gitops.source.worktree import WorkTree
from tests.integration.gitops.remotes import Shelf, shelf
from tests.integration.gitops.renders import document_of, drafted
from tests.unit.gitops.trees import SMALLEST, tree_of, write

LIBRARY = {
    "compose.yml": """\
services:
  db:
    image: db:1
    env_file: db.env
    environment: {LEVEL: "${LEVEL:-none}"}
    volumes: ["./conf:/conf", "./more/one.txt:/one.txt:ro", "named:/named"]
    configs: [greeting]
configs: {greeting: {file: more/one.txt}}
volumes: {named: {}}
""",
    "db.env": "A=from the library\n",
    "conf/db.conf": "listen = 1\n",
    "more/one.txt": "one\n",
    "base.yml": "services: {app: {image: app:1, env_file: [db.env], volumes: ['./conf:/etc/app']}}\n",
    "nested/compose.yaml": "include: [../compose.yml]\nservices: {s: {image: s:1, env_file: ../db.env}}\n",
}


GREETING = "configs: {greeting: {file: own.env}}\n"


@pytest.fixture
def served(tmp_path: Path) -> Generator[Shelf]:
    with shelf(tmp_path) as made:
        yield made


def same_here(folder: Path, compose: str, files: dict[str, str]) -> Draft:
    """The Draft with the library's files in the folder `lib` of the project itself."""
    local = {f"lib/{path}": content for path, content in LIBRARY.items()}
    return drafted(folder, {**local, **files, "compose.yaml": compose})


def seen(made: Draft) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What runs, with what is mounted by content."""
    return document_of(made), made.blobs


@pytest.mark.parametrize(
    "compose",
    [
        "include: ['REF:compose.yml']\nservices: {web: {image: web:1, depends_on: [db]}}\n",
        'include: ["REF"]\n',
        "include:\n  - REF:compose.yml\n",
        "include:\n  - path: REF:compose.yml\n    env_file: own.env\n",
        "include:\n  - path: [REF:compose.yml, own.yml]\n",
        "include: ['REF:nested']\n",
        "services: {web: {extends: {file: 'REF:base.yml', service: app}}}\n",
        "services: {web: {extends: {file: 'REF:compose.yml', service: db}}}\nvolumes: {named: {}}\n"
        + GREETING,
    ],
)
def test_what_is_named_is_rendered_as_if_it_lay_here(served: Shelf, tmp_path: Path, compose: str) -> None:
    commit = served.library(LIBRARY)
    own = {"own.env": "LEVEL=mine\n", "own.yml": "services: {db: {environment: {MORE: '1'}}}\n"}
    remote = served.drafted({**own, "compose.yaml": compose.replace("REF", f"{served.url}#{commit}")})
    local = compose.replace("REF:", "lib/").replace("REF", "lib/compose.yml")
    local = local.replace("lib/nested", "lib/nested/compose.yaml")
    assert seen(remote) == seen(same_here(tmp_path / "local", local, own))


def test_it_equals_what_compose_itself_says_of_the_same_files(served: Shelf, tmp_path: Path) -> None:
    commit = served.library(LIBRARY)
    made = served.drafted({"compose.yaml": f"include: ['{served.url}#{commit}:compose.yml']\n"})
    folder = tmp_path / "by hand"
    write(folder, {**LIBRARY, "top.yaml": "include: [./compose.yml]\n"})
    done = subprocess.run(
        [
            compose_client(),
            "--file",
            "top.yaml",
            "--project-name",
            "hello-prod",
            "config",
            "--format",
            "json",
        ],
        cwd=folder,
        env=compose_environment(tmp_path),
        check=True,
        capture_output=True,
        timeout=60,
    )
    expected: dict[str, Any] = json.loads(done.stdout)["services"]["db"]
    ours: dict[str, Any] = document_of(made)["services"]["db"]
    for key in ("image", "environment", "networks", "command", "entrypoint"):
        assert ours[key] == expected[key]
    binds = {one["target"]: one["source"] for one in expected["volumes"] if one["type"] == "bind"}
    assert binds.keys() | {"/named", "/greeting"} == {one["target"] for one in ours["volumes"]}
    assert sorted(made.blobs.values()) == [b"listen = 1\n", b"one\n"]


def test_a_service_is_built_from_the_other_repository(served: Shelf, tmp_path: Path) -> None:
    files = {
        "app/Dockerfile": "FROM scratch\nCOPY x /x\n",
        "app/x": "1",
        "app/left": "out",
        "app/.dockerignore": "left\n",
        "base.yml": "services: {app: {build: {context: ./app, args: {A: b}}}}\n",
    }
    commit = served.library(files)
    compose = f"services: {{web: {{build: {{context: '{served.url}#{commit}:app', args: {{A: b}}}}}}}}\n"
    made = served.drafted({"compose.yaml": compose})
    archive = tmp_path / "context.tar"
    with served.remotes() as remotes, archive.open("wb") as target:
        write_archive(made.builds["web"], made.tree, target)
        assert remotes.allowed
    with tarfile.open(archive) as packed:
        assert sorted(packed.getnames()) == [".dockerignore", "Dockerfile", "x"]
    local = {"compose.yaml": "services: {web: {build: {context: lib/app, args: {A: b}}}}\n"}
    here = drafted(tmp_path / "local", {**local, **{f"lib/{path}": text for path, text in files.items()}})
    assert made.builds["web"].ref == here.builds["web"].ref
    extended = f"services: {{web: {{extends: {{file: '{served.url}#{commit}:base.yml', service: app}}}}}}\n"
    assert served.drafted({"compose.yaml": extended}).builds["web"].ref == made.builds["web"].ref


@pytest.mark.parametrize(
    "dockerfile", ["../../Dockerfile", "../../../../../Dockerfile", "/Dockerfile", "${PWD}/Dockerfile"]
)
def test_what_is_built_there_takes_no_file_from_here(served: Shelf, dockerfile: str) -> None:
    commit = served.library({"app/Dockerfile": "FROM scratch\n", "Dockerfile": "FROM scratch\n"})
    build = f"{{context: '{served.url}#{commit}:app', dockerfile: '{dockerfile}'}}"
    files = {"compose.yaml": f"services: {{web: {{build: {build}}}}}\n", "Dockerfile": "FROM scratch\n"}
    assert served.refused(files).code == PATH_ESCAPES
    beside = build.replace(dockerfile, "../Dockerfile")
    made = served.drafted({**files, "compose.yaml": f"services: {{web: {{build: {beside}}}}}\n"})
    assert made.builds["web"].dockerfile == ".stagecraft.Dockerfile"


def test_another_commit_builds_another_image_whatever_paths_say(served: Shelf) -> None:
    refs: set[str] = set()
    for content in ("1", "2"):
        commit = served.library({"Dockerfile": "FROM scratch\nCOPY x /x\n", "x": content})
        config = "project: {name: hello}\nenvironments: {prod: {}}\nservices: {web: {paths: [src]}}\n"
        compose = f"services: {{web: {{build: '{served.url}#{commit}'}}}}\n"
        refs.add(served.drafted({"compose.yaml": compose, "stagecraft.yml": config}).builds["web"].ref)
    assert len(refs) == 2


def test_a_service_with_an_image_fetches_no_context(served: Shelf) -> None:
    commit = served.library({"Dockerfile": "FROM scratch\n"})
    made = served.drafted(
        {"compose.yaml": f"services: {{web: {{image: web:1, build: '{served.url}#{commit}'}}}}\n"}
    )
    assert made.images == {"web": "web:1"}
    assert served.host.requests == []


def test_the_dotenv_beside_an_included_file_does_not_speak(served: Shelf) -> None:
    commit = served.library({**LIBRARY, ".env": "LEVEL=theirs\n"})
    made = served.drafted({"compose.yaml": f"include: ['{served.url}#{commit}:compose.yml']\n"})
    assert document_of(made)["services"]["db"]["environment"]["LEVEL"] == "none"
    ours = {"compose.yaml": f"include: ['{served.url}#{commit}:compose.yml']\n", ".env": "LEVEL=ours\n"}
    assert document_of(served.drafted(ours))["services"]["db"]["environment"]["LEVEL"] == "ours"


def test_what_is_included_may_include_another(served: Shelf) -> None:
    inner = served.library(
        {"deep.yml": "services: {deep: {image: deep:1, volumes: ['./f:/f']}}\n", "f": "deep"}, "inner"
    )
    outer = served.library({"compose.yaml": f"include: ['{served.address('inner')}#{inner}:deep.yml']\n"})
    made = served.drafted({"compose.yaml": f"include: ['{served.url}#{outer}']\n"})
    assert set(document_of(made)["services"]) == {"deep"}
    assert list(made.blobs.values()) == [b"deep"]


def test_a_chain_of_repositories_ends(served: Shelf) -> None:
    commit = served.library({"compose.yaml": "services: {end: {image: end:1}}\n"}, "lib")
    for depth in range(1, 7):
        made = f"include: ['{served.url}#{commit}']\n"
        if depth <= MAX_REMOTE_DEPTH:
            assert set(document_of(served.drafted({"compose.yaml": made}))["services"]) == {"end"}
        else:
            error = served.refused({"compose.yaml": made})
            assert error.code == COMPOSE_REMOTE_REFUSED
            assert f"more than {MAX_REMOTE_DEPTH} deep" in error.message
        commit = served.library({"compose.yaml": made, "n": str(depth)})


def test_many_repositories_are_too_many(served: Shelf) -> None:
    refs = [f"{served.url}#{number:040x}" for number in range(1, 25)]
    error = served.refused({"compose.yaml": f"include: {refs}\n"})
    assert error.code == COMPOSE_REMOTE_REFUSED
    assert served.host.requests == []


def test_data_of_an_included_service_stays_when_its_pin_moves(served: Shelf) -> None:
    sources: set[str] = set()
    for number in ("1", "2"):
        commit = served.library(
            {"compose.yml": "services: {db: {image: db:1, volumes: ['./data:/d']}}\n", "n": number}
        )
        made = served.drafted({"compose.yaml": f"include: ['{served.url}#{commit}:compose.yml']\n"})
        sources.add(document_of(made)["services"]["db"]["volumes"][0]["source"])
    (source,) = sources
    assert source.startswith("/.stagecraft/state/.remotes/127.0.0.1-")
    assert source.endswith("/data")


def test_a_render_is_keyed_by_the_file_that_names_the_commit(served: Shelf) -> None:
    commit = served.library(LIBRARY)
    made = served.drafted({"compose.yaml": f"include: ['{served.url}#{commit}:compose.yml']\n"})
    assert not any(path.startswith(".git") for path in made.inputs)
    assert same_inputs(made.inputs, WorkTree(served.folder / "project"))


@pytest.mark.parametrize(
    "theirs",
    [
        "services: {a: {image: x, volumes: ['../own:/x']}}",
        "services: {a: {image: x, volumes: ['../../../../own:/x']}}",
        "services: {a: {image: x, volumes: ['${PWD}/../../.git/x:/x']}}",
        "services: {a: {image: x, configs: [c]}}\nconfigs: {c: {file: ../own}}",
        "services: {a: {image: x, secrets: [c]}}\nsecrets: {c: {file: ../../own}}",
        "services: {a: {image: x, env_file: ../own}}",
        "services: {a: {image: x, env_file: [{path: ../../own, required: false}]}}",
        "services: {a: {build: ..}}",
        "services: {a: {build: {context: ., dockerfile: ../Dockerfile}}}",
        "services: {a: {image: x, volumes: ['./link:/x']}}",
        "services: {a: {image: x, volumes: ['./folder:/x']}}",
        "services: {a: {image: x, env_file: link}}",
        "include: [link]",
    ],
)
def test_another_repository_reaches_nothing_but_itself(served: Shelf, theirs: str) -> None:
    library = served.library({"compose.yml": f"{theirs}\n", "Dockerfile": "FROM scratch\n"})
    work = served.repository().work
    (work / "folder").mkdir()
    for name in ("link", "folder/link"):
        (work / name).symlink_to("/etc/passwd")
    library = served.library({})
    other = served.library({"own": "theirs", "compose.yml": "services: {o: {image: x}}\n"}, "other")
    compose = (
        f"include: ['{served.url}#{library}:compose.yml', '{served.address('other')}#{other}:compose.yml']\n"
    )
    error = served.refused({"compose.yaml": compose, "own": "SECRET=1\n", "Dockerfile": "FROM scratch\n"})
    assert error.code in {PATH_ESCAPES, PATH_IS_LINK}, error


@pytest.mark.parametrize(
    "mine",
    [
        "volumes: ['./GRAFT/own:/x']",
        "volumes: ['${PWD}/GRAFT/own:/x']",
        "volumes: ['${PWD}/./x/../GRAFT/own:/x']",
        "configs: [c]",
        "env_file: GRAFT/own",
        "env_file: '${F}'",
        "build: {context: ., dockerfile: GRAFT/own}",
        "build: ./GRAFT",
    ],
)
def test_no_path_of_the_repository_leads_into_another(served: Shelf, mine: str) -> None:
    commit = served.library(
        {"own": "theirs", "compose.yml": "services: {o: {image: x}}\n", "Dockerfile": "FROM scratch\n"}
    )
    ref = f"{served.url}#{commit}:compose.yml"
    graft = RemoteRules(allowed=(parse_prefix(served.url),)).taken(ref).graft
    image = "" if "build" in mine else "image: x, "
    configs = f"configs: {{c: {{file: ./{graft}/own}}}}\n" if "configs" in mine else ""
    compose = f"include: ['{ref}']\nservices: {{a: {{{image}{mine}}}}}\n{configs}".replace("GRAFT", graft)
    error = served.refused(
        {"compose.yaml": compose, ".env": f"F={graft}/own\n", "Dockerfile": "FROM scratch\n"}
    )
    assert error.code == PATH_ESCAPES, error


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("URL", "it names no commit"),
        ("URL#main:compose.yml", "'main' is a branch or a tag"),
        ("URL#SHORT:compose.yml", "no whole commit id"),
        ("URL?ref=COMMIT", "'?' is not taken"),
        ("https://example.org/lib.git#COMMIT", "no policy allows that repository"),
        ("URL#COMMIT:../compose.yml", "no plain name"),
    ],
)
def test_a_reference_that_is_not_taken_fetches_nothing(served: Shelf, text: str, words: str) -> None:
    commit = served.library(LIBRARY)
    written = text.replace("URL", served.url).replace("COMMIT", commit).replace("SHORT", commit[:12])
    for compose in (
        f"include: ['{written}']\n",
        f"services: {{a: {{extends: {{file: '{written}', service: x}}}}}}\n",
    ):
        error = served.refused({"compose.yaml": compose})
        assert error.code == COMPOSE_REMOTE_REFUSED
        assert words in error.message
        assert error.next
    assert served.host.requests == []


def test_a_build_that_is_not_taken_fetches_nothing(served: Shelf) -> None:
    served.library({"Dockerfile": "FROM scratch\n"})
    error = served.refused({"compose.yaml": f"services: {{a: {{build: '{served.url}#main'}}}}\n"})
    assert error.code == BUILD_UNSUPPORTED
    assert "policy.hello.remotes" in error.next
    assert served.host.requests == []


def test_a_password_in_an_address_is_nowhere(served: Shelf) -> None:
    written = served.url.replace("//", "//robot:s3cret-word@") + f"#{'1' * 40}"
    for compose in (f"include: ['{written}']\n", f"services: {{a: {{build: '{written}'}}}}\n"):
        error = served.refused({"compose.yaml": compose})
        text = f"{error}{error!r}{error.why}{error.next}{error.__cause__!r}"
        assert "s3cret-word" not in text
    assert served.host.requests == []


def test_what_cannot_be_fetched_is_told_with_the_place_that_names_it(served: Shelf) -> None:
    served.library(LIBRARY)
    unknown = served.refused({"compose.yaml": f"\ninclude:\n- '{served.url}#{'1' * 40}'\n"})
    assert (unknown.code, type(unknown)) == (REVISION_MISSING, UserError)
    assert (unknown.where.file, unknown.where.line, unknown.where.key) == ("compose.yaml", 3, "include[0]")
    served.allowed = ("http://127.0.0.1:9/",)
    away = served.refused({"compose.yaml": f"include: ['http://127.0.0.1:9/a.git#{'1' * 40}']\n"})
    assert (away.code, type(away)) == (GIT_UNREACHABLE, OutsideError)
    assert away.where.key == "include[0]"


def test_all_that_one_render_fetches_has_one_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent:
        allowed = (parse_prefix("https://example.org"),)

        async def tree(self, ref: RemoteRef) -> Tree:
            await asyncio.Event().wait()
            raise AssertionError(ref)

    monkeypatch.setattr(module, "REMOTES_SECONDS", 0.2)
    compose = f"include: ['https://example.org/a.git#{'1' * 40}']\n"
    tree = tree_of(tmp_path, {**SMALLEST, "compose.yaml": compose})
    with pytest.raises(OutsideError) as caught:
        asyncio.run(draft(tree, environment="prod", version="v1", remotes=Silent()))
    assert (caught.value.code, caught.value.where.key) == (GIT_UNREACHABLE, "include[0]")


def test_words_of_compose_name_the_file_and_no_folder_of_this_machine(served: Shelf) -> None:
    commit = served.library({"compose.yml": "services: {a: {image: x, ports: ['x:y:z:']}}\n"})
    error = served.refused({"compose.yaml": f"include: ['{served.url}#{commit}:compose.yml']\n"})
    assert error.code == COMPOSE_INVALID
    assert "stagecraft-render" not in f"{error}{error.why}"


def test_host_variables_and_references_live_in_one_file(served: Shelf) -> None:
    commit = served.library(LIBRARY)
    config = "project: {name: hello}\nenvironments: {prod: {env_file: /etc/platform/env}}\n"
    compose = (
        f"include: ['{served.url}#{commit}:compose.yml']\n"
        "services: {web: {image: web:1, environment: {WORD: 'é ${TOKEN:?}'}}}\n"
    )
    services = document_of(served.drafted({"compose.yaml": compose, "stagecraft.yml": config}))["services"]
    assert services["web"]["environment"] == {"WORD": "é ${TOKEN:?}"}
    assert services["db"]["environment"]["LEVEL"] == "${LEVEL:-none}"
