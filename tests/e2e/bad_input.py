"""What a user can get wrong in the repository or on the command line, and what is read then."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

PROJECT = "project:\n  name: shop\nenvironments:\n  prod: {}\n  staging: {}\n"
COMPOSE = "services:\n  web:\n    image: shop/web:v1\n"
HOSTED = "project:\n  name: shop\nhosts:\n  front: [local]\nenvironments:\n  prod: {}\n"
LONG = "x" * 10_000
RED = "a\x1b[31mred\x1b[0m"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One thing that is wrong, and what its user reads."""

    item: str  # of the list of bad input
    says: tuple[str, ...]  # words on the screen, the code first
    files: Mapping[str, str | bytes | None] = field(default_factory=dict[str, "str | bytes | None"])
    command: tuple[str, ...] = ("plan", "--env", "prod")
    exit_code: int = 1


def project_files(text: str) -> dict[str, str | bytes | None]:
    """A repository with this project file and a Compose file of one service."""
    return {"stagecraft.yml": text, "compose.yaml": COMPOSE}


def quoted(name: str) -> str:
    """A name as YAML takes it, whatever is in it."""
    return json.dumps(name)


CASES = (
    Case(
        item="a missing stagecraft.yml",
        files={"compose.yaml": COMPOSE},
        says=("config-not-found", "config not found at stagecraft.yml", "next: stagecraft init"),
    ),
    Case(
        item="a missing stagecraft.yml, deployed",
        files={"compose.yaml": COMPOSE},
        command=("deploy", "--env", "prod"),
        says=("config-not-found", "config not found at stagecraft.yml"),
    ),
    Case(
        item="a missing stagecraft.yml, asked for its status",
        files={"compose.yaml": COMPOSE},
        command=("status",),
        says=("environment-required", "there is no project file here", "next: stagecraft init"),
    ),
    Case(
        item="a directory for stagecraft.yml",
        files={"stagecraft.yml/inside": "x\n", "compose.yaml": COMPOSE},
        says=(
            "config-not-found",
            "config not found at stagecraft.yml: it is a folder",
            "take the folder away",
        ),
    ),
    Case(
        item="a directory for stagecraft.yml, at init",
        files={"stagecraft.yml/inside": "x\n"},
        command=("init", "--non-interactive"),
        says=("not-a-file", "stagecraft.yml is a folder", "next: "),
    ),
    Case(
        item="a malformed stagecraft.yml",
        files=project_files("project:\n  name: [shop\n"),
        says=("config-invalid", "not a configuration file", "where: stagecraft.yml:3:1"),
    ),
    Case(
        item="a malformed stagecraft.yml, asked for its status",
        files=project_files("project:\n  name: [shop\n"),
        command=("status", "--env", "prod"),
        says=("environment-unknown", "not a configuration file", "next: correct the file"),
    ),
    Case(
        item="a stagecraft.yml that is no text",
        files={"stagecraft.yml": b"\xff\xfe\x00\x01", "compose.yaml": COMPOSE},
        says=("config-invalid", "stagecraft.yml:1:1"),
    ),
    Case(
        item="an unknown key",
        files=project_files(f"{PROJECT}servces: {{}}\n"),
        says=(
            "config-invalid",
            "unknown key 'servces'; did you mean 'services'?",
            "where: stagecraft.yml:6:1",
        ),
    ),
    Case(
        item="an unknown environment",
        files=project_files(PROJECT),
        command=("deploy", "--env", "prdo"),
        says=("environment-unknown", "did you mean 'prod'?", "known environments: prod, staging", "next: "),
    ),
    Case(
        item="an unknown environment, asked for its status",
        files=project_files(PROJECT),
        command=("status", "--env", "prdo"),
        says=(
            "environment-unknown",
            "did you mean 'prod'?",
            "known environments: shop/prod, shop/staging",
            "next: stagecraft status",
        ),
    ),
    Case(
        item="a service without a role where hosts are given",
        files=project_files(HOSTED),
        says=(
            "config-invalid",
            "service 'web': unknown role 'app' (allowed: front)",
            "key services.web.role",
        ),
    ),
    Case(
        item="a service that is not in Compose",
        files=project_files(f"{PROJECT}services:\n  wbe: {{}}\n"),
        says=("config-invalid", "unknown service 'wbe'; did you mean 'web'?", "where: stagecraft.yml:7:3"),
    ),
    Case(
        item="a repository that does not exist",
        files=project_files(PROJECT),
        command=("controller", "run", "--once", "--repo", "nowhere.git"),
        says=("repository-missing", "nowhere.git", "next: git init, or name the repository's path"),
    ),
    Case(
        item="a repository that is a file",
        files=project_files(PROJECT),
        command=("controller", "run", "--once", "--repo", "compose.yaml"),
        says=("repository-missing", "compose.yaml"),
    ),
    Case(
        item="a repository without a name",
        files=project_files(PROJECT),
        command=("controller", "run", "--once", "--repo", ""),
        says=("repository-url-refused", "it is empty"),
    ),
    Case(
        item="a server that does not answer",
        files=project_files(PROJECT),
        command=("controller", "run", "--once", "--repo", "http://127.0.0.1:9/shop.git"),
        says=("git-unreachable", "http://127.0.0.1:9/shop.git", "next: git ls-remote"),
        exit_code=2,
    ),
    *(
        Case(
            item=f"an environment called {name[:12]!r}",
            files=project_files(PROJECT),
            command=(*command, "--env", name),
            says=("environment-unknown", "known environments: "),
        )
        for name in ("a/b", "..", "../../etc", RED, LONG, "")
        for command in (("status",), ("deploy",), ("lock", "show"), ("hold", "--reason", "x"))
    ),
    *(
        Case(
            item=f"a project called {name[:12]!r}",
            files=project_files(f"project:\n  name: {quoted(name)}\nenvironments:\n  prod: {{}}\n"),
            says=("config-invalid", "a name has lower-case letters", "key project.name"),
        )
        for name in ("a/b", "..", RED, LONG)
    ),
    *(
        Case(
            item=f"a declared environment called {name[:12]!r}",
            files=project_files(f"project:\n  name: shop\nenvironments:\n  ? {quoted(name)}\n  : {{}}\n"),
            says=("config-invalid", "a name has lower-case letters", "stagecraft.yml:4"),
        )
        for name in ("a/b", "..", RED, LONG)
    ),
    *(
        Case(
            item=f"a host called {name[:12]!r}",
            files=project_files(
                f"project:\n  name: shop\nhosts:\n  app: [{quoted(name)}]\nenvironments:\n  prod: {{}}\n"
            ),
            says=("config-invalid", "a host name has letters", "key hosts.app[0]"),
        )
        for name in ("a/b", "..", RED, LONG)
    ),
    *(
        Case(
            item=f"a Compose service called {name[:12]!r}",
            files={
                "stagecraft.yml": PROJECT,
                "compose.yaml": f"services:\n  ? {quoted(name)}\n  : {{image: 'shop/web:v1'}}\n",
            },
            says=("compose-invalid", "next: docker compose config"),
        )
        for name in ("a/b", RED)
    ),
    *(
        Case(
            item=f"a version called {name[:12]!r}",
            files=project_files(PROJECT),
            command=(command, "--env", "prod", "--version", name),
            says=("version-invalid", "image tag", "next: "),
        )
        for name in ("a/b", "..", RED, LONG)
        for command in ("plan", "deploy")
    ),
    *(
        Case(
            item=f"a commit called {name[:12]!r}",
            files=project_files(PROJECT),
            command=("plan", "--env", "prod", "--rev", name),
            says=("revision-missing", "next: git log"),
        )
        for name in ("a//b", "...x", RED, LONG, "--output=x")
    ),
    *(
        Case(
            item=f"a branch called {name[:12]!r}",
            files=project_files(PROJECT),
            command=("controller", "run", "--once", "--repo", ".", "--branch", name),
            says=("branch-missing", "next: git "),
        )
        for name in ("a/b", "..", RED, LONG, "", "-x")
    ),
    *(
        Case(
            item=f"a Release called {name[:12]!r}",
            files=project_files(PROJECT),
            command=("releases", "show", "--", name),
            says=("release-not-found", "next: stagecraft releases list"),
        )
        for name in ("a/b", "..", RED, LONG)
    ),
    Case(
        item="a repository of 10 kB",
        files=project_files(PROJECT),
        command=("controller", "run", "--once", "--repo", LONG),
        says=("repository-url-refused", "longer than"),
    ),
    Case(
        item="a repository with a part that is too long",
        files=project_files(PROJECT),
        command=("controller", "run", "--once", "--repo", f"/tmp/{LONG[:300]}"),  # noqa: S108  # never made
        says=("repository-missing",),
    ),
    Case(
        item="a repository in colour",
        files=project_files(PROJECT),
        command=("controller", "run", "--once", "--repo", RED),
        says=("repository-url-refused", "control characters"),
    ),
    Case(
        item="a home of 10 kB",
        files=project_files(PROJECT),
        command=("status", "--home", LONG),
        says=("home-unusable", "next: name another with --home DIR"),
        exit_code=2,
    ),
    Case(
        item="a project file of 10 kB",
        files=project_files(PROJECT),
        command=("plan", "--env", "prod", "--config", LONG),
        says=("config-not-found",),
    ),
    Case(
        item="a project file outside",
        files=project_files(PROJECT),
        command=("plan", "--env", "prod", "--config", "../stagecraft.yml"),
        says=("config-outside-repository", "next: "),
    ),
)
