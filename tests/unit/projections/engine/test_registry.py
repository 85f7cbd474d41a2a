"""The sentences of registries, as engines of different age pass them on."""

from __future__ import annotations

import pytest

from events.kernel.errors import OutsideError
from projections.engine.registry import check_progress, image_unavailable, pull_name, registry_digest

DIGEST = "sha256:16bbd17ec41d69eaf27b3af38e5055810b5ce3196e16407aca4db4932c8c4c83"


@pytest.mark.parametrize(
    "words",
    [
        "manifest unknown: manifest unknown",
        "manifest for 127.0.0.1:5000/web:2 not found: manifest unknown: manifest unknown",
        "errors:\nmanifest unknown: manifest unknown\n",
        "name unknown: repository name not known to registry",
        "pull access denied for web, repository does not exist or may require 'docker login'",
        "errors:\ndenied: requested access is denied\nunauthorized: authentication required\n",
        "no basic auth credentials",
        "no matching manifest for linux/arm64/v8 in the manifest list entries",
    ],
)
def test_an_image_that_the_registry_does_not_show_is_not_found(words: str) -> None:
    error = image_unavailable("web:2", words)
    assert (error.code, error.why) == ("image-not-found", words.strip())
    assert "web:2" in error.message


@pytest.mark.parametrize(
    "words",
    [
        'Get "http://127.0.0.1:9/v2/": dial tcp 127.0.0.1:9: connect: connection refused',
        'Get "https://r.example.org/v2/": dial tcp: lookup r.example.org on 10.0.0.1:53: no such host',
        'Get "https://r.example.org/v2/": net/http: TLS handshake timeout',
        "received unexpected HTTP status: 502 Bad Gateway",
        "toomanyrequests: You have reached your pull rate limit",
        "x509: certificate signed by unknown authority",
    ],
)
def test_a_registry_that_says_nothing_about_the_image_is_unreachable(words: str) -> None:
    error = image_unavailable("web:2", words)
    assert (error.code, error.why) == ("registry-unreachable", words)


def test_who_was_denied_is_told_to_log_in() -> None:
    assert "docker login" in image_unavailable("web:2", "denied: no").next
    assert "docker login" not in image_unavailable("web:2", "manifest unknown").next


def test_progress_passes_and_an_error_in_it_is_raised() -> None:
    check_progress("web:2", {"status": "Pulling fs layer"})
    for line in (
        {"errorDetail": {"message": "manifest unknown"}, "error": "x"},
        {"error": "manifest unknown"},
        {"errorDetail": None, "error": "manifest unknown"},
    ):
        with pytest.raises(OutsideError) as caught:
            check_progress("web:2", line)
        assert (caught.value.code, caught.value.why) == ("image-not-found", "manifest unknown")


def test_the_digest_is_taken_from_the_descriptor() -> None:
    assert registry_digest("web:2", {"Descriptor": {"digest": DIGEST}}) == DIGEST
    for answer in ({}, {"Descriptor": None}, {"Descriptor": {"digest": "latest"}}):
        with pytest.raises(OutsideError) as caught:
            registry_digest("web:2", answer)
        assert caught.value.code == "registry-unreachable"


@pytest.mark.parametrize(
    ("ref", "name"),
    [
        ("web", ("web", "latest")),
        ("web:2", ("web", "2")),
        ("127.0.0.1:5000/web", ("127.0.0.1:5000/web", "latest")),
        ("127.0.0.1:5000/a/web:2", ("127.0.0.1:5000/a/web", "2")),
        (f"127.0.0.1:5000/web@{DIGEST}", ("127.0.0.1:5000/web", DIGEST)),
        (f"127.0.0.1:5000/web:2@{DIGEST}", ("127.0.0.1:5000/web", DIGEST)),
    ],
)
def test_a_reference_is_pulled_by_digest_or_tag(ref: str, name: tuple[str, str]) -> None:
    assert pull_name(ref) == name
