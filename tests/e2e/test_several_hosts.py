"""An app of several hosts: rendered and planned for each, deployed nowhere while one has no place."""

from __future__ import annotations

import yaml

from tests.e2e.team import Team

PROJECT = """\
project: {{name: {name}}}
hosts: {{app: [local], db: [db-1]}}
network: {{provider: static, static: {{hosts: {{db-1: {{address: 127.0.0.9}}}}}}}}
services:
  store: {{role: db}}
environments:
  prod: {{gate: {{settle: 300ms, deadline: 15s}}}}
"""
PLACE = "network: {provider: static, static: {hosts: {db-1: {address: 127.0.0.9}}}}\n"
COMPOSE = """\
services:
  web:
    image: {image}
    environment: {{STORE: "${{STORE_HOST:-}}"}}
    depends_on: [store]
  store:
    image: {image}
    ports: ["127.0.0.1:{port}:8080"]
"""


def merged(team: Team, *, placed: bool = False) -> None:
    """A commit that names the host `db-1`, and says where that is if it is `placed`."""
    project = PROJECT.format(name=team.project.name)
    team.repository.commit(
        {
            "stagecraft.yml": project if placed else project.replace(PLACE, ""),
            "compose.yaml": COMPOSE.format(image=team.worker, port=team.port),
        }
    )


def test_each_host_has_a_document_and_the_plan_names_both(team: Team) -> None:
    merged(team, placed=True)
    work = team.repository.work
    here = team.cli.run("config", "render", "--env", "prod", "--host", "local", "--no-pin", cwd=work).expect(
        0
    )
    assert "store=127.0.0.9" in here.stdout
    assert yaml.safe_load(here.stdout)["services"]["web"]["environment"] == {"STORE": "127.0.0.9"}
    assert "dependency-dropped" in here.stderr
    unnamed = team.cli.run("config", "render", "--env", "prod", "--no-pin", cwd=work).expect(1)
    assert "known hosts: db-1, local" in unnamed.stderr
    plan = team.cli.run("plan", "--env", "prod", "--format", "json", cwd=work).expect(0).json()
    assert plan["hosts"] == ["db-1", "local"]
    assert {(one["host"], one["service"]) for one in plan["changes"]} == {("local", "web"), ("db-1", "store")}


def test_a_host_that_nobody_places_ends_the_deploy_before_anything_is_touched(team: Team) -> None:
    merged(team)
    team.lists("hosts: [local, 'db-*']")
    refused = team.look().expect(1)
    assert "host-not-supported" in refused.stderr + refused.stdout
    assert "db-1" in refused.stderr + refused.stdout
    assert team.project.containers() == []
    assert team.releases()[0]["status"] == "failed"

    merged(team, placed=True)  # where nobody answers, and no key is known
    team.look()
    assert team.types().count("HostDeclared") == 1
    listed = {one["name"]: one for one in team.cli.run("hosts", "list", "--json").expect(0).json()["hosts"]}
    assert (listed["db-1"]["address"], listed["db-1"]["origin"]) == ("127.0.0.9", "git")
    assert listed["db-1"]["roles"] == {f"{team.project.name}/prod": ["db"]}
    assert team.project.containers() == []


def test_a_host_that_the_branch_may_not_name_is_refused_until_the_operator_lists_it(team: Team) -> None:
    merged(team)
    for _ in range(2):  # it stays refused
        refused = team.look().expect(1)
        assert "error: host-not-allowed: the branch may not deploy to db-1" in refused.stderr
        assert "a branch that is not listed allows local" in refused.stderr
    assert team.types().count("DeployDeferred") == 1
    assert team.project.containers() == []
    team.lists("hosts: ['app-?', local]")
    shown = team.cli.ok("controller", "run", "--dry-run").stdout
    assert shown.startswith("Branch: main of ")
    assert "host db-1 (the branch may deploy to app-?, local)" in shown
    assert "repositories[0].hosts allows app-?, local" in team.look().expect(1).stderr
    team.lists("hosts: ['*']")
    assert "host-not-supported" in team.look().expect(1).stderr
