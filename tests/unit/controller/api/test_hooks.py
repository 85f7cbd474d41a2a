"""Deliveries over HTTP: which are taken, and what stands around them."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.api.secrets import hook_secrets
from controller.api.server import listen
from controller.home import Home
from controller.repositories import BranchRules, WatchedBranch, watched
from events.kernel.errors import OutsideError, UserError
from gitops.source.webhook import HookKind
from tests.unit.controller.api.house import PATH, House, run, signed


def test_a_signed_delivery_is_accepted_and_wakes_its_repository_once() -> None:
    async def story(house: House) -> None:
        answer = await house.post(b'{"ref": "refs/heads/main"}')
        assert (answer.status_code, answer.json()) == (202, {"status": "accepted"})
        assert house.woken == [("shop-1a2b", "github webhook")]
        assert house.hooks.accepted == {"shop-1a2b": 1}
        assert house.said == []

    run(story)


@pytest.mark.parametrize(
    ("path", "headers", "reason"),
    [
        (PATH, {}, "signature-missing"),
        (PATH, signed(b"{}", b"another"), "signature-wrong"),
        (PATH, signed(b"{} "), "signature-wrong"),
        ("/hooks/github/nobody", signed(b"{}"), "signature-wrong"),
        ("/hooks/gitea/shop-1a2b", signed(b"{}"), "signature-wrong"),
        ("/hooks/bitbucket/shop-1a2b", signed(b"{}"), "signature-wrong"),
        ("/hooks/gitlab/shop-1a2b", {"X-Gitlab-Token": "tokens"}, "signature-wrong"),
    ],
)
def test_what_is_not_proved_is_refused_and_wakes_nobody(
    path: str, headers: dict[str, str], reason: str
) -> None:
    async def story(house: House) -> None:
        answer = await house.client.post(path, content=b"{}", headers=headers)
        assert answer.status_code == 401
        assert answer.json() == {"status": "refused", "reason": reason}
        assert house.woken == []
        assert house.said == [f"webhook refused: {reason}, from 127.0.0.1 to {path}"]

    run(story)


def test_a_refusal_does_not_show_whether_there_is_such_a_repository() -> None:
    async def story(house: House) -> None:
        known = await house.client.post(PATH, content=b"{}")
        unknown = await house.client.post("/hooks/github/nobody", content=b"{}")
        assert (known.status_code, known.json()) == (unknown.status_code, unknown.json())

    run(story)


@pytest.mark.parametrize(("method", "path", "status"), [("GET", PATH, 405), ("POST", "/hooks", 404)])
def test_other_methods_and_paths_are_no_deliveries(method: str, path: str, status: int) -> None:
    async def story(house: House) -> None:
        answer = await house.client.request(method, path)
        assert answer.status_code == status
        assert house.woken == []

    run(story)


def test_an_address_that_is_taken_is_an_error_with_its_place() -> None:
    with listen("127.0.0.1:0") as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(OutsideError, match="cannot listen") as caught:
            listen(address)
    assert caught.value.code == "listen-failed"


def test_an_address_of_another_machine_is_the_same_error() -> None:
    with pytest.raises(OutsideError) as caught:
        listen("192.0.2.1:80")
    assert caught.value.code == "listen-failed"


def test_an_address_of_ip_version_6_is_taken() -> None:
    with listen("[::1]:0") as taken:
        assert taken.getsockname()[0] == "::1"


def place(home: Path, url: str, *webhooks: tuple[HookKind, str]) -> WatchedBranch:
    rules = BranchRules(entry="repositories[0]", webhooks=webhooks)
    return WatchedBranch(watched=watched(Home(home), url, cwd=home), branch="main", rules=rules)


def test_secrets_come_from_the_environment_by_repository_and_kind(tmp_path: Path) -> None:
    one, two = "ssh://git@example.org/one", "ssh://git@example.org/two"
    places = [
        place(tmp_path, one, ("github", "A")),
        place(tmp_path, one, ("github", "B"), ("gitlab", "A")),
        place(tmp_path, two),
    ]
    found = hook_secrets(places, {"A": "aaaa ", "B": "bbbb"})
    assert found == {places[0].key.slug: {"github": (b"aaaa", b"bbbb"), "gitlab": (b"aaaa",)}}


@pytest.mark.parametrize("environ", [{}, {"A": " "}])
def test_a_variable_that_is_not_set_is_an_error_with_its_key(environ: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        hook_secrets([place(tmp_path, "ssh://git@example.org/one", ("github", "A"))], environ)
    assert caught.value.code == "webhook-secret-missing"
    assert caught.value.where.key == "repositories[0].webhooks.github.secret_env"
