"""Which words allow what."""

from __future__ import annotations

import pytest

from gitops.permissions import MEANINGS, Need, Permission, checked_allowance, unmet


def need(permission: Permission, value: str = "") -> Need:
    return Need(permission=permission, value=value, key="k", message="m")


def test_every_permission_says_what_it_is_needed_for() -> None:
    assert set(MEANINGS) == set(Permission)


@pytest.mark.parametrize(
    ("permission", "value", "allowed", "covered"),
    [
        (Permission.PRIVILEGED, "", "privileged", True),
        (Permission.PRIVILEGED, "", "host-pid", False),
        (Permission.CAPABILITIES, "NET_ADMIN", "capabilities", True),
        (Permission.CAPABILITIES, "NET_ADMIN", "capabilities:NET_ADMIN", True),
        (Permission.CAPABILITIES, "SYS_ADMIN", "capabilities:NET_ADMIN", False),
        (Permission.SYSTEM_PATH, "/etc/ssl/x", "system-path:/etc/ssl", True),
        (Permission.SYSTEM_PATH, "/etc/ssl/x", "system-path:/etc/ssl/", True),
        (Permission.SYSTEM_PATH, "/etc/sslx", "system-path:/etc/ssl", False),
        (Permission.SYSTEM_PATH, "/etc", "system-path:/etc/ssl", False),
        (Permission.UNCONFINED, "seccomp:unconfined", "unconfined:seccomp:unconfined", True),
    ],
)
def test_a_word_covers_what_it_names_and_no_more(
    permission: Permission, value: str, allowed: str, *, covered: bool
) -> None:
    assert need(permission, value).met_by([allowed]) is covered


def test_what_is_not_covered_is_left_sorted() -> None:
    needs = [need(Permission.UNCONFINED, "b"), need(Permission.DEVICES, "/dev/x"), need(Permission.HOST_PID)]
    assert [one.narrow for one in unmet(needs, ["host-pid"])] == ["devices:/dev/x", "unconfined:b"]


@pytest.mark.parametrize("text", ["", "root", "privileged:", ":x", "Privileged"])
def test_an_unknown_word_is_refused_with_those_that_there_are(text: str) -> None:
    with pytest.raises(ValueError, match="engine-socket"):
        checked_allowance(text)
