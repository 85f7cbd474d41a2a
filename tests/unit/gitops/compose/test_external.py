"""Services that run outside."""

from __future__ import annotations

from typing import Any

import pytest

from events.kernel.errors import UserError
from gitops.compose.external import EXTERNAL_NAMESPACE, drop_external
from gitops.findings import FindingCode


def test_what_runs_outside_goes_with_all_that_leads_to_it() -> None:
    services: dict[str, dict[str, Any]] = {
        "api": {"image": "x"},
        "web": {
            "depends_on": {"api": {"condition": "service_started"}, "db": {}},
            "links": ["api:backend", "db"],
        },
        "job": {"depends_on": {"api": {}}},
        "db": {},
    }
    found = drop_external(services, {"api"})
    assert services == {"web": {"depends_on": {"db": {}}, "links": ["db"]}, "job": {}, "db": {}}
    assert [(one.code, one.key) for one in found] == [
        (FindingCode.DEPENDENCY_EXTERNAL, "services.job.depends_on"),
        (FindingCode.DEPENDENCY_EXTERNAL, "services.web.depends_on"),
        (FindingCode.DEPENDENCY_EXTERNAL, "services.web.links"),
    ]


def test_a_name_that_is_no_service_changes_nothing() -> None:
    services: dict[str, dict[str, Any]] = {"web": {"depends_on": {"db": {}}}, "db": {}}
    assert drop_external(services, {"other"}) == []
    assert services == {"web": {"depends_on": {"db": {}}}, "db": {}}


@pytest.mark.parametrize(
    ("service", "key"),
    [
        ({"network_mode": "service:api"}, "network_mode"),
        ({"pid": "service:api"}, "pid"),
        ({"ipc": "service:api"}, "ipc"),
        ({"volumes_from": ["api:ro"]}, "volumes_from"),
    ],
)
def test_what_lives_inside_it_is_refused_by_name(service: dict[str, Any], key: str) -> None:
    with pytest.raises(UserError) as caught:
        drop_external({"web": service, "api": {}}, {"api"})
    error = caught.value
    assert (error.code, error.where.service, error.where.key) == (
        EXTERNAL_NAMESPACE,
        "web",
        f"services.web.{key}",
    )
    assert "'api'" in error.message
