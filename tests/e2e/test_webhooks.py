"""Webhooks of a Git host, with the installed command and the real engine."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from pathlib import Path

import httpx

from controller.api.server import listen
from tests.e2e.team import Team
from tests.support.cli import Stagecraft
from tests.support.daemons import running_daemon
from tests.support.images import TestImages

SETTINGS = """\
listen: {listen}
poll: {{interval: 1h}}
repositories:
  - {{url: {url}, watch: false, webhooks: {{generic: {{secret_env: SHOP_HOOK}}}}}}
"""
SHARED = "between the two of us"


def settings(cli: Stagecraft, url: Path, *, address: str = "127.0.0.1:0") -> Path:
    path = cli.cwd / "controller.yml"
    path.write_text(SETTINGS.format(url=url, listen=address))
    return path


def post(url: str, *, key: str) -> httpx.Response:
    body = b'{"ref": "refs/heads/main"}'
    headers = {"X-Signature-256": f"sha256={hmac.new(key.encode(), body, hashlib.sha256).hexdigest()}"}
    return httpx.post(url, content=body, headers=headers, trust_env=False, timeout=30)


def test_a_push_is_deployed_when_the_git_host_says_so_and_not_when_a_stranger_does(
    team: Team, cli: Stagecraft, images: TestImages
) -> None:
    team.merge()
    knowing = replace(cli, environment={**cli.environment, "SHOP_HOOK": SHARED})
    file = settings(cli, team.repository.origin)
    with running_daemon(knowing, "--verbose", "--controller", str(file)) as daemon:
        daemon.says("completed after", seconds=60)
        daemon.says("/hooks/generic/")
        url = next(line for line in daemon.said.splitlines() if "/hooks/" in line).rpartition(" ")[2]
        team.merge(web=images.web("v2"))
        assert post(url, key="guessed").status_code == 401
        daemon.says("webhook refused: signature-wrong, from 127.0.0.1")
        assert team.answer() == "web v1"
        assert post(url, key=SHARED).status_code == 202
        daemon.says("look at the branch: generic webhook")
        daemon.says("completed after", times=2, seconds=60)
        assert team.answer() == "web v2"
        assert SHARED not in daemon.said
        assert daemon.end() == 0


def test_a_secret_that_nobody_set_ends_the_start(cli: Stagecraft, team: Team) -> None:
    team.merge()
    file = settings(cli, team.repository.origin)
    refused = cli.run("controller", "run", "--controller", str(file)).expect(1)
    assert "webhook-secret-missing: SHOP_HOOK is not set" in refused.stderr
    assert "repositories[0].webhooks.generic.secret_env" in refused.stderr


def test_an_address_that_somebody_else_has_ends_the_start(cli: Stagecraft, team: Team) -> None:
    team.merge()
    knowing = replace(cli, environment={**cli.environment, "SHOP_HOOK": SHARED})
    with listen("127.0.0.1:0") as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        file = settings(cli, team.repository.origin, address=address)
        refused = knowing.run("controller", "run", "--controller", str(file)).expect(2)
    assert f"listen-failed: cannot listen on {address}" in refused.stderr
