"""Rules of Traefik's routers, as places that a route can stand for."""

from __future__ import annotations

import pytest

from gitops.compose.route_rules import Place, RuleUnclearError, places_of

A, B = Place(host="a"), Place(host="b")


@pytest.mark.parametrize(
    ("rule", "places"),
    [
        ("Host(`a`)", (A,)),
        ('Host("a")', (A,)),
        (" Host( `a` )||Host(`b`) ", (A, B)),
        ("Host(`a`) && PathPrefix(`/x`)", (Place(host="a", path="/x"),)),
        ("PathPrefix(`/x`) && Host(`a`)", (Place(host="a", path="/x"),)),
        ("PathPrefix(`/x`)", (Place(path="/x"),)),
        ("Host(`a`) || Host(`b`) && PathPrefix(`/x`)", (A, Place(host="b", path="/x"))),
        (
            "(Host(`a`) || Host(`b`)) && PathPrefix(`/x`)",
            (Place(host="a", path="/x"), Place(host="b", path="/x")),
        ),
        (
            "Host(`a`) && (PathPrefix(`/x`) || PathPrefix(`/y`))",
            (Place(host="a", path="/x"), Place(host="a", path="/y")),
        ),
        ("Host(`a`) || Host(`a`)", (A,)),
        ("Host(`a`) && Host(`a`)", (A,)),
    ],
)
def test_hosts_and_paths_are_understood_as_traefik_does(rule: str, places: tuple[Place, ...]) -> None:
    assert places_of(rule) == places


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "Host(`a`) &&",
        "Host(`a`",
        "(Host(`a`)",
        "Host(`a`))",
        "Host(`a`) Host(`b`)",
        "Host(`a`, `b`)",
        "!Host(`a`)",
        "HostRegexp(`.*`)",
        "Host(`a`) && Method(`GET`)",
        "Host(`a`) && Host(`b`)",
        "Host(`a`) && PathPrefix(`/x`) && PathPrefix(`/y`)",
        "Host(`a`) && Path(`/x`)",
        " && ".join(["(" + " || ".join(f"PathPrefix(`/{n}`)" for n in range(60)) + ")", "Host(`a`)"] * 2),
    ],
)
def test_what_says_more_is_not_understood_in_part(rule: str) -> None:
    with pytest.raises(RuleUnclearError):
        places_of(rule)


def test_names_of_tls_have_no_path() -> None:
    assert places_of("HostSNI(`*`)", hosts="HostSNI", paths=None) == (Place(host="*"),)
    with pytest.raises(RuleUnclearError):
        places_of("HostSNI(`a`) && PathPrefix(`/x`)", hosts="HostSNI", paths=None)
