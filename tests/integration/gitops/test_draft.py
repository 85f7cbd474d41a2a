"""Drafts and Manifests of commits: determinism, hashes, inputs."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from events import labels
from events.kernel.canonical import sha256_digest
from events.kernel.errors import InternalError, UserError
from events.manifest import FILES_PREFIX, STATE_PREFIX, ImagePin, Manifest
from gitops.manifest import IMAGE_UNPINNED, Draft, complete, draft, unpinned
from gitops.pins import IMAGE_INVALID, Lookup
from gitops.renderkey import same_inputs
from gitops.source.git import Repository as Opened
from gitops.source.worktree import WorkTree
from tests.integration.gitops.renders import completed, drafted, manifest_of, pins_of, refusal, service_of
from tests.support.repos import Repository

FULL: dict[str, str | bytes] = {
    "stagecraft.yml": "project: {name: hello}\nservices: {tool: }\nenvironments: {prod: }\n",
    "compose.yaml": """\
services:
  web:
    image: web:1
    command: [serve]
    environment: {A: "1"}
    env_file: web.env
    volumes: ["./conf:/conf", "data:/data"]
    configs: [ini]
    depends_on: {migrate: {condition: service_completed_successfully}}
    networks: [default, back]
  migrate:
    image: web:1
    command: [migrate]
    networks: [back]
  db:
    image: db:1
    networks: [back]
    deploy: {replicas: 1}
  tool: {image: tool:1, profiles: [tools], network_mode: host}
configs: {ini: {file: ./app.ini}}
networks: {back: {driver: bridge}}
volumes: {data: {labels: {a: b}}}
""",
    "web.env": "E=1\n",
    "conf/a": "a",
    "conf/b.sh": "b",
    "app.ini": "ini",
}
SERVICES = {"web", "migrate", "db", "tool"}


def render(opened: Opened, rev: str) -> Draft:
    return asyncio.run(draft(opened.tree(rev), environment="prod", version=opened.resolve(rev).revision))


def test_the_manifest_is_complete(tmp_path: Path) -> None:
    made = drafted(tmp_path, FULL)
    manifest = completed(made)
    host = manifest.hosts["local"]
    assert set(host.services) == set(host.compose["services"]) == SERVICES
    for name, service in host.services.items():
        definition = host.compose["services"][name]
        assert definition["image"] == f"{made.images[name]}@{sha256_digest(made.images[name].encode())}"
        assert {label: definition["labels"][label] for label in labels.IDENTITY if label != labels.LOG} == {
            labels.PROJECT: "hello",
            labels.ENVIRONMENT: "prod",
            labels.SERVICE: name,
            labels.SERVICE_HASH: service.hash,
        }
        assert labels.LOG not in definition["labels"]
    blobs = {entry.blob for tree in host.files.values() for entry in tree.entries}
    assert blobs == set(made.blobs)
    assert all(sha256_digest(content) == digest for digest, content in made.blobs.items())
    assert Manifest.decode(manifest.encode()) == manifest


def test_every_mounted_file_is_in_the_files_of_its_host(tmp_path: Path) -> None:
    host = manifest_of(tmp_path, FULL).hosts["local"]
    mounts = [mount for service in host.compose["services"].values() for mount in service.get("volumes", ())]
    sources = [mount["source"] for mount in mounts if mount["source"].startswith(FILES_PREFIX)]
    named = {f"sha256:{source.removeprefix(FILES_PREFIX).partition('/')[0]}" for source in sources}
    assert named == set(host.files)
    assert all(tree.digest == digest for digest, tree in host.files.items())


SCRIPT = """
import asyncio, sys
from pathlib import Path
from gitops.manifest import complete, draft, unpinned
from gitops.source.worktree import WorkTree
from events.manifest import ImagePin
made = asyncio.run(draft(WorkTree(Path(sys.argv[1])), environment="prod", version="v1"))
pins = {ref: ImagePin(ref=ref, pin="sha256:" + "1" * 64, pin_kind="image-id") for ref in unpinned(made, {})}
print(complete(made, pins).digest, made.render_key, *map(str, made.findings), sep="\\n")
"""


def test_the_same_tree_gives_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    drafted(tmp_path / "tree", FULL)
    printed: set[str] = set()
    for seed, scratch in (("0", "short"), ("1", "a/much/longer/way/to/go"), ("2", "$odd name")):
        (tmp_path / scratch).mkdir(parents=True)
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(tmp_path / "tree")],
            env={
                **os.environ,
                "PYTHONPATH": str(Path.cwd()),
                "PYTHONHASHSEED": seed,
                "TMPDIR": str(tmp_path / scratch),
            },
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        printed.add(done.stdout)
    assert len(printed) == 1


def test_a_commit_and_its_clean_work_tree_render_the_same(repository: Repository) -> None:
    repository.commit(FULL)
    with Opened(repository.work) as opened:
        committed = render(opened, "HEAD")
        revision = opened.resolve("HEAD").revision
        here = asyncio.run(draft(opened.worktree(), environment="prod", version=revision))
        assert completed(here).encode() == completed(committed).encode()
        assert here.inputs == committed.inputs


def test_the_manifest_says_nothing_of_the_commit(repository: Repository) -> None:
    repository.commit(FULL, "one")
    repository.commit({"README": "unrelated"}, "two")
    with Opened(repository.work) as opened:
        before, after = render(opened, "HEAD^"), render(opened, "HEAD")
    assert before.version != after.version
    assert completed(before).digest == completed(after).digest
    assert before.render_key == after.render_key


HASHES_STAY = {
    "depends_on": ("depends_on: {migrate: {condition: service_completed_successfully}}", "depends_on: [db]"),
    "depends_on gone": ("    depends_on: {migrate: {condition: service_completed_successfully}}\n", ""),
    "pull_policy": ("command: [serve]", "command: [serve]\n    pull_policy: always"),
    "replicas": ("deploy: {replicas: 1}", "deploy: {replicas: 3}"),
    "profiles": ("profiles: [tools]", "profiles: [other]"),
    "build": ("command: [serve]", "command: [serve]\n    build: ."),
    "extension": ("command: [serve]", "command: [serve]\n    x-note: hello"),
    "comment": ("command: [serve]", "command:\n      - serve  # as before"),
    "list form": ('environment: {A: "1"}', "environment: [A=1]"),
    "unused volume": ("volumes: {data: {labels: {a: b}}}", "volumes: {data: {labels: {a: b}}, more: }"),
}


@pytest.mark.parametrize("case", HASHES_STAY)
def test_a_change_that_no_container_sees_changes_no_hash(tmp_path: Path, case: str) -> None:
    old, new = HASHES_STAY[case]
    compose = str(FULL["compose.yaml"])
    assert old in compose
    before = manifest_of(tmp_path / "1", FULL).service_hashes()
    after = manifest_of(tmp_path / "2", {**FULL, "compose.yaml": compose.replace(old, new)}).service_hashes()
    assert before == after


CHANGES: dict[str, tuple[str, str, str, set[str]]] = {
    "environment": ("compose.yaml", 'A: "1"', 'A: "2"', {"web"}),
    "command": ("compose.yaml", "[serve]", "[serve, fast]", {"web"}),
    "image": ("compose.yaml", "image: db:1", "image: db:2", {"db"}),
    "image of two": ("compose.yaml", "image: web:1", "image: web:2", {"web", "migrate"}),
    "label": ("compose.yaml", "command: [migrate]", "command: [migrate]\n    labels: {x: y}", {"migrate"}),
    "network option": (
        "compose.yaml",
        "{driver: bridge}",
        "{driver: bridge, internal: true}",
        {"web", "migrate", "db"},
    ),
    "volume option": ("compose.yaml", "labels: {a: b}", "labels: {a: c}", {"web"}),
    "env file": ("web.env", "E=1", "E=2", {"web"}),
    "mounted file": ("conf/a", "a", "changed", {"web"}),
    "config": ("app.ini", "ini", "changed", {"web"}),
    "config target": ("compose.yaml", "configs: [ini]", "configs: [{source: ini, target: /x}]", {"web"}),
    "resources": (
        "compose.yaml",
        "{replicas: 1}",
        "{replicas: 1, resources: {limits: {memory: 1g}}}",
        {"db"},
    ),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_change_that_a_container_sees_changes_the_hash_of_its_service_alone(
    tmp_path: Path, case: str
) -> None:
    file, old, new, expected = CHANGES[case]
    content = str(FULL[file])
    assert old in content
    before = manifest_of(tmp_path / "1", FULL).service_hashes()["local"]
    after = manifest_of(tmp_path / "2", {**FULL, file: content.replace(old, new)}).service_hashes()["local"]
    assert {name for name in SERVICES if before[name] != after[name]} == expected


def test_a_file_that_becomes_executable_changes_its_service_and_the_inputs(tmp_path: Path) -> None:
    before = drafted(tmp_path, FULL)
    (tmp_path / "conf/b.sh").chmod(0o755)
    after = drafted(tmp_path, FULL)
    assert {path for path in before.inputs if before.inputs[path] != after.inputs[path]} == {"conf"}
    old, new = completed(before).service_hashes()["local"], completed(after).service_hashes()["local"]
    assert {name for name in SERVICES if old[name] != new[name]} == {"web"}


def test_a_revert_has_the_inputs_the_digest_and_the_pins_of_before(repository: Repository) -> None:
    repository.commit(FULL)
    changed = {"compose.yaml": str(FULL["compose.yaml"]).replace("web:1", "web:2"), "conf/a": "other"}
    repository.commit(changed)
    repository.revert()
    with Opened(repository.work) as opened:
        first = render(opened, "HEAD~2")
        assert not same_inputs(first.inputs, opened.tree("HEAD~1"))
        assert same_inputs(first.inputs, opened.tree("HEAD"))
        assert completed(render(opened, "HEAD")).digest == completed(first).digest


@pytest.mark.parametrize(
    "path",
    [
        "compose.yaml",
        "stagecraft.yml",
        "environments/prod.yml",
        "web.env",
        "conf/new",
        "app.ini",
        ".env",
        "compose.override.yaml",
        "docker-compose.yml",
    ],
)
def test_whatever_a_render_looked_for_is_an_input(tmp_path: Path, path: str) -> None:
    made = drafted(tmp_path / "1", FULL)
    drafted(
        tmp_path / "2", {**FULL, path: b"" if path == "environments/prod.yml" else FULL.get(path, b"#\n")}
    )
    target = tmp_path / "2" / path
    target.write_bytes(target.read_bytes() + b"# changed\n")
    assert same_inputs(made.inputs, WorkTree(tmp_path / "1"))
    assert not same_inputs(made.inputs, WorkTree(tmp_path / "2"))


def test_a_version_that_is_the_commit_makes_every_commit_an_input(repository: Repository) -> None:
    compose = "services: {web: {image: 'web:${IMAGE_TAG}'}}"
    repository.commit(
        {**FULL, "stagecraft.yml": "project: {name: a}\nenvironments: {prod: }\n", "compose.yaml": compose}
    )
    repository.commit({"README": "unrelated"})
    with Opened(repository.work) as opened:
        before = render(opened, "HEAD^")
        assert before.inputs[""] == opened.tree("HEAD^").object_id("")
        assert not same_inputs(before.inputs, opened.tree("HEAD"))


@pytest.mark.parametrize(
    ("paths", "inputs"),
    [("", {""}), ("services: {web: {paths: [src, Dockerfile]}}\n", {"src", "Dockerfile"})],
)
def test_what_an_image_is_built_from_is_an_input(tmp_path: Path, paths: str, inputs: set[str]) -> None:
    made = drafted(
        tmp_path,
        {
            "stagecraft.yml": f"project: {{name: hello}}\n{paths}environments: {{prod: }}\n",
            "compose.yaml": "services: {web: {image: web:1, build: .}}",
            "src/main.c": "",
        },
    )
    assert inputs <= made.inputs.keys()
    assert ("" in made.inputs) == ("" in inputs)


def test_pull_policies_are_told_but_not_run(tmp_path: Path) -> None:
    made = drafted(tmp_path, {"compose.yaml": "services: {web: {image: web:1, pull_policy: never}}"})
    assert made.pull_policies == {"web": "never"}
    assert unpinned(made, {}) == {"web:1": Lookup(pull_policy="never")}
    assert "pull_policy" not in made.hosts["local"].document["services"]["web"]


def test_an_image_by_id_runs_as_the_id(tmp_path: Path) -> None:
    made = drafted(tmp_path, {})
    identity = "sha256:" + "5" * 64
    pin = ImagePin(ref="web:1", pin=identity, pin_kind="image-id")
    assert unpinned(made, {"web:1": pin}) == {}
    host = complete(made, {"web:1": pin}).hosts["local"]
    assert host.compose["services"]["web"]["image"] == identity
    assert host.services["web"].image == pin


def test_a_reference_with_a_digest_needs_no_pin(tmp_path: Path) -> None:
    ref = "web:1@sha256:" + "6" * 64
    made = drafted(tmp_path, {"compose.yaml": f"services: {{web: {{image: '{ref}'}}}}"})
    assert unpinned(made, {}) == {}
    assert complete(made, {}).hosts["local"].compose["services"]["web"]["image"] == ref


def test_an_image_without_a_pin_never_becomes_a_manifest(tmp_path: Path) -> None:
    with pytest.raises(InternalError) as caught:
        complete(drafted(tmp_path, {}), {})
    assert caught.value.code == IMAGE_UNPINNED


def test_what_is_no_image_reference_is_refused_with_its_service(tmp_path: Path) -> None:
    made = drafted(tmp_path, {"compose.yaml": "services: {web: {image: '--privileged'}}"})
    with pytest.raises(UserError) as caught:
        pins_of(made)
    assert (caught.value.code, caught.value.where.service) == (IMAGE_INVALID, "web")


def test_completing_leaves_the_draft_as_it_was(tmp_path: Path) -> None:
    made = drafted(tmp_path, FULL)
    before = repr(made)
    completed(made)
    assert repr(made) == before


STATE = "project: {name: hello}\nservices: {web: {mounts: {./conf: state}}}\nenvironments: {prod: }\n"


def test_a_committed_folder_that_is_declared_as_state_is_writable_and_no_input(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "stagecraft.yml": STATE,
        "compose.yaml": "services: {web: {image: x, volumes: ['./conf:/conf', './more:/more']}}",
        "conf/a": "a",
        "more/b": "b",
    }
    made = drafted(tmp_path, files)
    conf, more = service_of(made)["volumes"]
    assert (conf["source"], conf.get("read_only")) == (f"{STATE_PREFIX}conf", None)
    assert more["read_only"] is True
    assert "conf" not in made.inputs
    assert "more" in made.inputs


def test_state_that_no_service_mounts_is_told_with_what_it_mounts(tmp_path: Path) -> None:
    files = {
        "stagecraft.yml": STATE,
        "compose.yaml": "services: {web: {image: x, volumes: ['./config:/conf', '/srv:/srv', 'vol:/v']}}\n"
        "volumes: {vol: {}}",
    }
    error = refusal(tmp_path, files)
    assert (error.code, error.where.line) == ("config-invalid", 2)
    assert "did you mean 'config'" in error.message
