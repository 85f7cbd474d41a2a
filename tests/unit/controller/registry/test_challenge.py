"""What a registry asks for, and where a token may be asked for."""

from __future__ import annotations

import pytest

from controller.registry.challenge import Challenge, challenges, may_ask


def test_a_token_with_its_service_and_scope() -> None:
    header = 'Bearer realm="https://auth.example/token",service="reg, one",scope="repository:a/b:pull,push"'
    assert challenges([header]) == [
        Challenge(
            scheme="bearer",
            realm="https://auth.example/token",
            service="reg, one",
            scope="repository:a/b:pull,push",
        )
    ]


def test_tokens_come_before_passwords_and_other_ways_are_passed_over() -> None:
    found = challenges(['Negotiate, Basic realm="x"', 'bearer realm="https://a"'])
    assert [one.scheme for one in found] == ["bearer", "basic"]
    assert challenges(['Digest realm="x"', ""]) == []


@pytest.mark.parametrize(
    ("realm", "plain", "allowed"),
    [
        ("https://auth.example/token", False, True),
        ("https://auth.example/token", True, True),
        ("http://reg.example/token", False, False),
        ("http://reg.example/token", True, True),
        ("http://reg.example:9/token", True, True),
        ("http://other.example/token", True, False),
        ("https://u:p@auth.example/token", False, False),
        ("file:///etc/passwd", True, False),
        ("", True, False),
    ],
)
def test_a_realm_is_https_or_the_plain_registry_itself(realm: str, *, plain: bool, allowed: bool) -> None:
    assert may_ask(realm, registry="http://reg.example:5000", plain=plain) is allowed
