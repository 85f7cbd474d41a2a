"""The engine's JSON, as old and new engines and those that imitate Docker write it."""

from __future__ import annotations

from typing import Any

import pytest

from events.kernel.errors import OutsideError
from projections.engine.model import (
    container_from_inspection,
    container_from_listing,
    health_budget_seconds,
    image_from_inspection,
    stop_grace_seconds,
)
from projections.engine.port import PublishedPort

ID = "5081c6f83728b2e93bf9e40e2976a82e82da2a3cc500b30c7acb2f59802479ae"
IMAGE_ID = "sha256:16bbd17ec41d69eaf27b3af38e5055810b5ce3196e16407aca4db4932c8c4c83"
SECOND = 1_000_000_000
ALL = "0.0.0.0"  # noqa: S104  # what engines write

LISTED: dict[str, Any] = {
    "Id": ID,
    "Names": ["/shop-web-1"],
    "Image": "web:1",
    "ImageID": IMAGE_ID,
    "Command": "serve",
    "Created": 1795231584,
    "Ports": [
        {"IP": ALL, "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
        {"IP": "::", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
        {"PrivatePort": 81, "Type": "udp"},
    ],
    "Labels": {"stagecraft.service": "web", "stagecraft.service-hash": "h"},
    "NetworkSettings": {"Networks": {"shop_default": {"NetworkID": "ff"}, "front": {"NetworkID": "ee"}}},
    "State": "running",
    "Status": "Up 3 seconds (healthy)",
}

INSPECTED: dict[str, Any] = {
    "Id": ID,
    "Name": "/shop-web-1",
    "RestartCount": 2,
    "Image": IMAGE_ID,
    "State": {
        "Status": "running",
        "Running": True,
        "ExitCode": 0,
        "OOMKilled": False,
        "Error": "",
        "Health": {
            "Status": "starting",
            "FailingStreak": 1,
            "Log": [{"ExitCode": 0, "Output": "fine\n"}, {"ExitCode": 1, "Output": "not yet\n"}],
        },
    },
    "HostConfig": {"RestartPolicy": {"Name": "unless-stopped", "MaximumRetryCount": 0}},
    "NetworkSettings": {
        "Ports": {
            "80/tcp": [{"HostIp": ALL, "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}],
            "81/udp": None,
        },
        "Networks": {"front": {}, "shop_default": {}},
    },
    "Config": {
        "Image": "web:1",
        "Labels": {"stagecraft.service": "web", "stagecraft.service-hash": "h"},
        "Healthcheck": {"Test": ["CMD", "check"], "Interval": 2 * SECOND, "Timeout": SECOND, "Retries": 4},
    },
}


def listed(**changes: object) -> dict[str, Any]:
    return {**LISTED, **changes}


def inspected(**changes: dict[str, Any]) -> dict[str, Any]:
    return {
        key: {**value, **changes.get(key, {})} if key in changes else value
        for key, value in INSPECTED.items()
    }


def test_a_listed_container_has_all_its_parts() -> None:
    container = container_from_listing(LISTED)
    assert (container.id, container.name) == (ID, "shop-web-1")
    assert (container.image, container.image_id) == ("web:1", IMAGE_ID)
    assert (container.state, container.health) == ("running", "healthy")
    assert (container.service, container.service_hash, container.one_off) == ("web", "h", False)
    assert container.networks == ("front", "shop_default")
    assert container.ports == (
        PublishedPort(address=ALL, port=8080, protocol="tcp", target=80),
        PublishedPort(address="::", port=8080, protocol="tcp", target=80),
    )


@pytest.mark.parametrize(
    ("status", "health"),
    [
        ("Up 3 seconds", "none"),
        ("Up 3 seconds (healthy)", "healthy"),
        ("Up 3 seconds (unhealthy)", "unhealthy"),
        ("Up Less than a second (health: starting)", "starting"),
        ("Up 2 minutes (Paused)", "none"),
        ("Exited (0) 2 seconds ago", "none"),
        (None, "none"),
    ],
)
def test_older_engines_say_health_in_the_status_text(status: str | None, health: str) -> None:
    assert container_from_listing(listed(Status=status)).health == health


@pytest.mark.parametrize(
    ("field", "health"),
    [
        ({"Status": "unhealthy", "FailingStreak": 3}, "unhealthy"),
        ({"Status": "none"}, "none"),
        ({"Status": "hale"}, "none"),
        ({}, "none"),
    ],
)
def test_newer_engines_say_health_in_a_field_that_wins(field: dict[str, Any], health: str) -> None:
    assert container_from_listing(listed(Health=field, Status="Up (healthy)")).health == health


@pytest.mark.parametrize(
    ("word", "state"),
    [("running", "running"), ("Exited", "exited"), ("configured", "created"), ("stopped", "exited")],
)
def test_other_words_for_a_state_are_understood(word: str, state: str) -> None:
    assert container_from_listing(listed(State=word)).state == state


@pytest.mark.parametrize("changes", [{"State": "melted"}, {"State": None}, {"Id": ""}, {"Id": None}])
def test_what_is_no_container_is_refused_and_not_guessed(changes: dict[str, Any]) -> None:
    with pytest.raises(OutsideError) as caught:
        container_from_listing(listed(**changes))
    assert caught.value.code == "engine-refused"


def test_missing_and_null_keys_promise_nothing() -> None:
    for answer in (
        {"Id": ID, "State": "created"},
        {"Id": ID, "State": "created", "Names": None, "Ports": None, "Labels": None, "Image": None},
    ):
        container = container_from_listing(answer)
        assert (container.name, container.image, container.image_id) == ("", "", "")
        assert (dict(container.labels), container.ports, container.health) == ({}, (), "none")
        assert container.networks == ()
        assert (container.service, container.service_hash) == (None, None)


def test_the_name_is_its_own_and_not_a_link() -> None:
    names = ["/shop-web-1/db", "/shop-db-1"]
    assert container_from_listing(listed(Names=names)).name == "shop-db-1"


def test_a_port_without_an_address_is_on_all() -> None:
    ports = [{"PrivatePort": 80, "PublicPort": 8080}]
    (port,) = container_from_listing(listed(Ports=ports)).ports
    assert port == PublishedPort(address=ALL, port=8080, protocol="tcp", target=80)


def test_a_run_of_a_job_is_one_off() -> None:
    for text, one_off in (("True", True), ("true", True), ("False", False)):
        labels = {"com.docker.compose.oneoff": text}
        assert container_from_listing(listed(Labels=labels)).one_off is one_off


def test_listing_and_inspection_make_the_same_container() -> None:
    assert container_from_inspection(INSPECTED).container == container_from_listing(
        listed(Status="Up 1 second (health: starting)")
    )


def test_an_inspected_container_has_what_gates_need() -> None:
    detail = container_from_inspection(INSPECTED)
    assert (detail.exit_code, detail.restart_count, detail.restart_policy) == (0, 2, "unless-stopped")
    assert (detail.oom_killed, detail.error) == (False, "")
    assert (detail.health_check, detail.health_failing_streak) == (True, 1)
    assert detail.health_output == "not yet"
    assert detail.health_budget_seconds == 12.0


def test_a_container_that_ended_has_no_health() -> None:
    state = {"Status": "exited", "Running": False, "ExitCode": 137, "OOMKilled": True}
    detail = container_from_inspection(inspected(State=state))
    assert (detail.container.health, detail.container.state) == ("none", "exited")
    assert (detail.exit_code, detail.oom_killed) == (137, True)


def test_an_inspection_with_little_in_it_promises_nothing() -> None:
    detail = container_from_inspection({"Id": ID, "State": {"Status": "created"}, "Config": None})
    assert (detail.restart_policy, detail.health_check, detail.health_budget_seconds) == ("no", False, 0.0)
    assert (detail.health_output, detail.container.ports, detail.container.image) == ("", (), "")


def test_an_empty_restart_policy_is_no_restart() -> None:
    detail = container_from_inspection(inspected(HostConfig={"RestartPolicy": {"Name": ""}}))
    assert detail.restart_policy == "no"


def test_the_engines_words_are_safe_to_show() -> None:
    words = "cannot reach https://me:hunter2@example.org \x1b[31mnow\x1b[0m" + "x" * 600
    detail = container_from_inspection(
        inspected(State={"Error": words, "Health": {"Log": [{"Output": words}]}})
    )
    for text in (detail.error, detail.health_output):
        assert text.startswith("cannot reach https://***@example.org now")
        assert len(text) == 500


@pytest.mark.parametrize("test", [None, [], ["NONE"]])
def test_a_check_that_is_switched_off_is_none(test: list[str] | None) -> None:
    detail = container_from_inspection(inspected(Config={"Healthcheck": {"Test": test}}))
    assert (detail.health_check, detail.health_budget_seconds) == (False, 0.0)


def test_a_check_without_numbers_has_the_engines_own() -> None:
    assert health_budget_seconds({"Test": ["CMD-SHELL", "true"]}) == 3 * (30 + 30)
    assert health_budget_seconds({"Test": ["CMD-SHELL", "true"], "StartPeriod": 40 * SECOND}) == 220


@pytest.mark.parametrize(
    ("config", "seconds"),
    [
        ({}, 10),
        ({"StopTimeout": None}, 10),
        ({"StopTimeout": 0}, 0),
        ({"StopTimeout": 90}, 90),
        ({"StopTimeout": -1}, 3600),
    ],
)
def test_the_grace_period_is_the_containers_own(config: dict[str, Any], seconds: int) -> None:
    assert stop_grace_seconds({"Config": config}) == seconds


def test_an_image_has_an_id_and_perhaps_digests() -> None:
    digest = f"web@{IMAGE_ID}"
    assert image_from_inspection({"Id": IMAGE_ID, "RepoDigests": [digest]}).repo_digests == (digest,)
    assert image_from_inspection({"Id": IMAGE_ID, "RepoDigests": None}).repo_digests == ()
    with pytest.raises(OutsideError):
        image_from_inspection({})
