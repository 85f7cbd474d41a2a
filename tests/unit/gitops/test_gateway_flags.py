"""What a gateway's own flags say: whether it can be told of routes, and confirm them."""

from __future__ import annotations

import pytest

from gitops.gateway_flags import Judged, has_settings, judged

GOOD = (
    "--providers.file.directory=/dyn",
    "--providers.providersThrottleDuration=100ms",
    "--entryPoints.web.address=:80",
    "--entrypoints.websecure.address=:443",
    "--entrypoints.stagecraft.address=:9000",
    "--api=true",
    "--metrics.prometheus.manualrouting=true",
)


def judge(*flags: str, without: str = "", **service: object) -> Judged:
    """The good flags, but for those that begin so, and more."""
    kept = [flag for flag in GOOD if not (without and flag.startswith(without))]
    return judged({"command": [*kept, *flags], **service})


def test_good_flags_fit_without_a_note() -> None:
    found = judge()
    assert found.fits
    assert (found.directory, found.admin_port, found.authenticated) == ("/dyn", 9000, True)
    assert dict(found.entrances.ports) == {"web": 80, "websecure": 443}
    assert found.entrances.usual == ("web", "websecure")
    assert (found.notes, found.missing, found.labels_unclear) == ((), (), "")


def test_flags_may_stand_apart_from_their_values_and_behind_a_program() -> None:
    found = judged(
        {
            "entrypoint": ["/traefik", "--api"],
            "command": [
                "traefik",
                "--providers.file.directory",
                "/dyn/",
                *("-entrypoints.stagecraft.address", ":9000", "--entrypoints.web.address", "[::]:81/tcp"),
            ],
        }
    )
    assert found.fits
    assert (found.directory, found.admin_port, dict(found.entrances.ports)) == ("/dyn", 9000, {"web": 81})


def test_flags_may_be_variables() -> None:
    environment = {
        "TRAEFIK_PROVIDERS_FILE_DIRECTORY": "/dyn",
        "TRAEFIK_API_INSECURE": "true",
        "TRAEFIK_ENTRYPOINTS_WEB_ADDRESS": ":80",
        "OTHER": None,
    }
    assert has_settings({"environment": environment})
    found = judged({"environment": environment})
    assert found.fits
    assert (found.admin_port, found.authenticated) == (8080, False)
    assert not has_settings({"environment": {"TRAEFIK_DASHBOARD_USERS": "x", "OTHER": "y"}})


@pytest.mark.parametrize(
    ("found", "missing"),
    [
        (judge(without="--providers.file"), ("--providers.file.directory=/etc/traefik/dynamic",)),
        (judge("--providers.file.directory=dyn"), ("--providers.file.directory=/etc/traefik/dynamic",)),
        (judge("--providers.file.directory=${DIR}"), ("--providers.file.directory=/etc/traefik/dynamic",)),
        (judge("--providers.file.watch=false"), ("--providers.file.watch=true",)),
        (judge(without="--api"), ("--api=true", "--entrypoints.stagecraft.address=:8099")),
        (judge("--api=false"), ("--api=true", "--entrypoints.stagecraft.address=:8099")),
        (
            judge("--entrypoints.stagecraft.address=127.0.0.1:9000"),
            ("--api=true", "--entrypoints.stagecraft.address=:8099"),
        ),
        (
            judge("--entrypoints.stagecraft.address=:80"),
            ("--api=true", "--entrypoints.stagecraft.address=:8099"),
        ),
        (
            judge("--entrypoints.stagecraft.address=:90/udp"),
            ("--api=true", "--entrypoints.stagecraft.address=:8099"),
        ),
    ],
)
def test_what_is_missing_is_named(found: Judged, missing: tuple[str, ...]) -> None:
    assert not found.fits
    assert found.missing == missing


def test_an_api_that_the_project_opened_is_asked_without_a_login() -> None:
    found = judge("--api.insecure", without="--entrypoints.stagecraft")
    assert (found.fits, found.admin_port, found.authenticated) == (True, 8080, False)
    moved = judge("--api.insecure", "--entrypoints.traefik.address=:8081", without="--entrypoints.stagecraft")
    assert (moved.admin_port, dict(moved.entrances.ports)) == (8081, {"web": 80, "websecure": 443})
    hidden = judge("--api.insecure", "--entrypoints.traefik.address=127.0.0.1:1", without="--entrypoints.st")
    assert not hidden.fits


@pytest.mark.parametrize("target", ["/dyn", "/dyn/"])
def test_a_folder_that_the_gateway_mounts_itself_is_not_ours(target: str) -> None:
    found = judge(volumes=[{"type": "bind", "source": "/srv", "target": target}])
    assert not found.fits
    assert "/dyn" in found.why
    assert judge(volumes=[{"type": "bind", "source": "/srv", "target": "/dyna"}]).fits


def test_settings_in_a_file_are_not_read() -> None:
    assert not judge("--configFile=/x.yml").fits
    mounts = [{"type": "bind", "source": "/srv", "target": "/etc/traefik/traefik.toml"}]
    assert has_settings({"volumes": mounts})
    assert "file" in judged({"volumes": mounts}).why


@pytest.mark.parametrize(
    "flag", ["--providers.providersthrottleduration=2s", "--providers.providersthrottleduration=1"]
)
def test_a_slow_gateway_is_told_of(flag: str) -> None:
    (note,) = judge(flag).notes
    assert "100ms" in note


def test_defaults_of_traefik_are_told_of() -> None:
    assert len(judge(without="--providers.providersThrottle").notes) == 1
    assert len(judge("--providers.providersthrottleduration=soon").notes) == 1
    assert len(judge(without="--metrics").notes) == 1


def test_entry_points_bring_what_they_do_for_all() -> None:
    found = judge(
        "--entrypoints.websecure.http.tls.certresolver=le",
        "--entrypoints.inner.address=:8443",
        "--entrypoints.inner.http.tls=true",
        "--entrypoints.dns.address=:53/udp",
        "--entrypoints.web.asdefault=true",
        "--providers.docker.exposedbydefault=false",
    ).entrances
    assert found.tls == {"websecure", "inner"}
    assert dict(found.resolvers) == {"websecure": "le"}
    assert set(found.ports) == {"web", "websecure", "inner"}
    assert found.usual == ("web",)
    assert not found.labels_count
    assert judge().entrances.labels_count


def test_a_gateway_that_chooses_services_leaves_labels_alone() -> None:
    assert "constraints" in judge("--providers.docker.constraints=Label(`a`,`b`)").labels_unclear
