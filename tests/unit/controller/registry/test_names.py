"""A reference taken apart as engines do it."""

from __future__ import annotations

import pytest

from controller.registry.names import image_name, is_no_registry, is_on_this_machine


@pytest.mark.parametrize(
    ("ref", "parts"),
    [
        ("nginx", ("docker.io", "library/nginx", "latest")),
        ("org/web:1.2", ("docker.io", "org/web", "1.2")),
        ("docker.io/nginx:1", ("docker.io", "library/nginx", "1")),
        ("index.docker.io/org/web", ("docker.io", "org/web", "latest")),
        ("localhost/web:1", ("localhost", "web", "1")),
        ("127.0.0.1:5000/a/b/c:tag", ("127.0.0.1:5000", "a/b/c", "tag")),
        ("Reg.Example/web", ("reg.example", "web", "latest")),
        ("reg.example/web:1@sha256:abc", ("reg.example", "web", "sha256:abc")),
    ],
)
def test_taken_apart(ref: str, parts: tuple[str, str, str]) -> None:
    name = image_name(ref)
    assert (name.registry, name.repository, name.reference) == parts


def test_the_public_registry_answers_and_is_logged_in_under_names_of_its_own() -> None:
    name = image_name("nginx")
    assert name.api_host == "index.docker.io"
    assert name.credentials_key == "https://index.docker.io/v1/"
    other = image_name("reg.example:5000/web")
    assert (other.api_host, other.credentials_key) == ("reg.example:5000", "reg.example:5000")


@pytest.mark.parametrize(
    ("address", "here"),
    [
        ("localhost", True),
        ("localhost:5000", True),
        ("127.0.0.1:5000", True),
        ("127.9.9.9", True),
        ("[::1]:5000", True),
        ("localhost.example", False),
        ("127.0.0.1.example:80", False),
        ("10.0.0.1:5000", False),
    ],
)
def test_loopback_is_told_by_the_name_alone(address: str, *, here: bool) -> None:
    assert is_on_this_machine(address) is here


@pytest.mark.parametrize(
    ("address", "refused"),
    [
        ("169.254.169.254", True),
        ("169.254.1.1:5000", True),
        ("[fe80::1]:5000", True),
        ("0.0.0.0:5000", True),
        ("224.0.0.1", True),
        ("10.0.0.1:5000", False),
        ("reg.example", False),
    ],
)
def test_where_no_registry_can_be(address: str, *, refused: bool) -> None:
    assert is_no_registry(address) is refused
