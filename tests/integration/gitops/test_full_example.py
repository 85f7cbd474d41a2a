"""Each key of the full example that is not reported as unused changes what is deployed.

Most keys change nothing that the Compose client is asked: for equal requests it runs once for all tests here.
"""

from __future__ import annotations

import asyncio
import copy
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.providers.table import PROVIDERS
from events.kernel.errors import UserError
from gitops.check import check_project
from gitops.compose.render import Rendered, Request, render
from gitops.config.faults import dotted
from gitops.config.load import project_at
from gitops.config.plain import is_list, is_mapping
from gitops.findings import FindingCode
from gitops.manifest import draft
from gitops.places import places_in
from gitops.source.worktree import WorkTree
from tests.unit.gitops.examples import FULL, example

Key = tuple[str | int, ...]

ENVIRONMENTS = ("prod", "dev", "staging")

OTHER_THAN_DEFAULT: dict[str, object] = {
    "environments.dev.traefik.hsts": True,
    "environments.prod.traefik.dashboard_auth": "basic",
    "environments.prod.drift": "report",
    "infra.bootstrap.docker.install": "script",
    "environments.prod.rollout.enabled": False,
    "environments.prod.rollout.hosts.max_failures": 1,
    "environments.prod.rollout.hosts.on_unreachable": "skip",
    "environments.prod.rollout.on_failure": "hold",
    "environments.prod.rollout.traffic.strategy": "stop-first",
    "environments.prod.routes[0].path": "/shop",
    "environments.prod.shop.mode": "external",
    "services.shop.rollout.traffic.strategy": "stop-first",
}
"""Keys of the example that say what would be true without them, with another value."""


def leaves(value: object, key: Key = ()) -> list[Key]:
    """All values; a list of plain ones is one."""
    inner: list[tuple[str | int, object]] = list(value.items()) if is_mapping(value) else []
    if is_list(value) and any(is_mapping(item) for item in value):
        inner = list(enumerate(value))
    return [leaf for name, below in inner for leaf in leaves(below, (*key, name))] if inner else [key]


def without(data: dict[str, Any], key: Key) -> dict[str, Any]:
    left = copy.deepcopy(data)
    at: Any = left
    for part in key[:-1]:
        at = at[part]
    del at[key[-1]]
    return left


def replaced(data: dict[str, Any], key: Key, value: object) -> dict[str, Any]:
    changed = copy.deepcopy(data)
    at: Any = changed
    for part in key[:-1]:
        at = at[part]
    at[key[-1]] = value
    return changed


@pytest.fixture(scope="module", autouse=True)
def _renders() -> Iterator[None]:
    """Renders that are kept by their whole request; env files are of a folder of which they never change."""
    kept: list[tuple[Request, Rendered]] = []

    async def once(request: Request) -> Rendered:
        asked = replace(request, read=no_file)
        known = next((rendered for before, rendered in kept if before == asked), None)
        if known is None:
            known = await render(request)
            kept.append((asked, known))
        return copy.deepcopy(known)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gitops.draft.render", once)
        yield


def no_file(_path: str) -> None: ...


def deployed(folder: Path, environment: str) -> object:
    """What an environment comes to, or the code of the error that it ends with."""
    try:
        made = asyncio.run(
            draft(WorkTree(folder), environment=environment, version="0123abcd", providers=PROVIDERS)
        )
    except UserError as error:
        return error.code
    return (
        made.project,
        made.compose_project,
        made.version,
        made.hosts,
        made.awaited,
        made.drift,
        made.image_policy,
        made.conduct,
        made.routing,
        sorted(set(made.inputs) - {"stagecraft.yml"}),
    )


def hosts_prepared(folder: Path) -> object:
    """Where the hosts are and how `hosts bootstrap` brings an engine to them, or the code of an error."""
    try:
        places = places_in(WorkTree(folder), "stagecraft.yml", PROVIDERS)
        infra = project_at(WorkTree(folder), "stagecraft.yml")[1].infra
    except UserError as error:
        return error.code
    bootstrap = None if infra is None else infra.bootstrap
    return places, None if bootstrap is None or bootstrap.docker is None else bootstrap.docker.install


def outcomes(folder: Path) -> dict[str, object]:
    return {one: deployed(folder, one) for one in ENVIRONMENTS} | {"hosts": hosts_prepared(folder)}


def concerned(key: Key) -> tuple[str, ...]:
    """The environments that a key can change."""
    return (str(key[1]),) if key[0] == "environments" else ENVIRONMENTS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FULL, tmp_path / "full"))


def test_a_used_key_that_goes_changes_what_is_deployed(folder: Path) -> None:
    findings = check_project(WorkTree(folder), "stagecraft.yml", providers=PROVIDERS)
    reported = {one.key for one in findings if one.code is FindingCode.UNUSED_KEY}
    data = example("stagecraft").data
    before = outcomes(folder)
    assert not [code for code in before.values() if isinstance(code, str)]
    used = [key for key in leaves(data) if dotted(key) not in reported]
    assert len(used) > 30
    for key in used:
        other = OTHER_THAN_DEFAULT.get(dotted(key))
        changed = without(data, key) if other is None else replaced(data, key, other)
        (folder / "stagecraft.yml").write_text(yaml.safe_dump(changed))
        assert (
            any(deployed(folder, one) != before[one] for one in concerned(key))
            or hosts_prepared(folder) != before["hosts"]
        ), dotted(key)


def test_unused_keys_that_go_change_nothing(folder: Path) -> None:
    findings = check_project(WorkTree(folder), "stagecraft.yml", providers=PROVIDERS)
    reported = {one.key for one in findings if one.code is FindingCode.UNUSED_KEY}
    data = example("stagecraft").data
    before = outcomes(folder)
    left = {
        name: data[name]
        for name in ("project", "images", "network", "hosts", "services", "environments", "infra")
    }
    for key in leaves(left):
        if dotted(key) in reported:
            left = without(left, key)
    (folder / "stagecraft.yml").write_text(yaml.safe_dump(left))
    assert outcomes(folder) == before
