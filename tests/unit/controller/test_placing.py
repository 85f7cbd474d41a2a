"""Which hosts are asked for an environment, by name, by role, or all."""

from __future__ import annotations

import pytest

from controller.placing import Placement
from controller.targets import Target
from events.kernel.errors import UserError

TARGET = Target(project="shop", name="prod")
PLACED = Placement(
    services={"app-1": frozenset({"web"}), "app-2": frozenset({"web", "db"})},
    roles={"app": frozenset({"app-2", "app-1"}), "db": frozenset({"app-2"})},
)


def chosen(
    placement: Placement = PLACED, *, host: str | None = None, role: str | None = None
) -> tuple[str, ...]:
    return placement.chosen(TARGET, host=host, role=role, reached={"local", "app-1", "app-2", "spare"})


def test_all_that_should_run_something_are_asked_and_no_others() -> None:
    assert chosen() == ("app-1", "app-2")
    assert PLACED.every_service == {"web", "db"}


def test_where_nothing_was_deployed_all_that_can_be_reached_are_asked() -> None:
    assert chosen(Placement()) == ("app-1", "app-2", "local", "spare")


def test_a_role_means_its_hosts_and_a_name_that_one() -> None:
    assert chosen(role="app") == ("app-1", "app-2")
    assert chosen(role="db") == ("app-2",)
    assert chosen(host="app-1") == ("app-1",)
    assert chosen(host="spare") == ("spare",)  # a container may have been left there


def test_unknown_names_list_the_known() -> None:
    with pytest.raises(UserError) as caught:
        chosen(role="cache")
    assert (caught.value.code, caught.value.why) == ("role-not-in-environment", "known roles: app, db")
    with pytest.raises(UserError) as caught:
        chosen(host="app-9")
    assert caught.value.code == "host-not-in-environment"
    assert caught.value.why == "known hosts: app-1, app-2, local, spare"
