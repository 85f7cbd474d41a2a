"""One document for each host."""

from __future__ import annotations

from typing import Any

import pytest

from events.kernel.errors import UserError
from gitops.compose.split import CROSS_HOST_NAMESPACE, Split, split
from gitops.findings import FindingCode

DOCUMENT: dict[str, Any] = {
    "name": "p",
    "networks": {"default": {"name": "p_default", "x-note": 1}, "back": None, "unused": {}},
    "volumes": {"data": {"name": "p_data"}, "unused": {}},
}
PLACES = {"web": ["a"], "db": ["b"]}


def cut(services: dict[str, Any], placement: dict[str, list[str]] | None = None) -> Split:
    return split(DOCUMENT, services, placement or PLACES)


def test_each_host_gets_its_services_with_what_they_use() -> None:
    documents = cut(
        {
            "web": {"image": "x", "networks": {"default": None}},
            "db": {
                "image": "y",
                "networks": {"back": None, "default": None},
                "volumes": [
                    {"type": "volume", "source": "data"},
                    {"type": "volume"},
                    {"type": "bind", "source": "/x"},
                ],
            },
        }
    ).documents
    assert list(documents) == ["a", "b"]
    assert documents["a"]["services"] == {"web": {"image": "x", "networks": {"default": None}}}
    assert documents["a"]["networks"] == {"default": {"name": "p_default"}}
    assert "volumes" not in documents["a"]
    assert documents["b"]["networks"] == {"back": {}, "default": {"name": "p_default"}}
    assert documents["b"]["volumes"] == {"data": {"name": "p_data"}}
    assert documents["b"]["name"] == "p"


def test_a_service_of_two_hosts_is_on_both() -> None:
    documents = cut({"web": {"image": "x"}}, {"web": ["b", "a"]}).documents
    assert documents["a"] == documents["b"] == {"name": "p", "services": {"web": {"image": "x"}}}


def test_a_service_without_networks_needs_none() -> None:
    documents = cut(
        {"web": {"image": "x", "network_mode": "host", "networks": None}}, {"web": ["a"]}
    ).documents
    assert "networks" not in documents["a"]


def test_dependencies_on_other_hosts_are_dropped_with_a_finding() -> None:
    services: dict[str, Any] = {
        "web": {
            "depends_on": {"db": {"condition": "service_started"}, "job": {"condition": "service_healthy"}},
            "links": ["db:database", "job"],
        },
        "job": {},
        "db": {"depends_on": {"web": {}}, "links": ["web"]},
    }
    made = cut(services, {"web": ["a"], "job": ["a"], "db": ["b"]})
    web = made.documents["a"]["services"]["web"]
    assert web == {"depends_on": {"job": {"condition": "service_healthy"}}, "links": ["job"]}
    assert made.documents["b"]["services"]["db"] == {}
    assert [(finding.code, finding.key) for finding in made.findings] == [
        (FindingCode.DEPENDENCY_DROPPED, "services.db.depends_on"),
        (FindingCode.DEPENDENCY_DROPPED, "services.db.links"),
        (FindingCode.DEPENDENCY_DROPPED, "services.web.depends_on"),
        (FindingCode.DEPENDENCY_DROPPED, "services.web.links"),
    ]


def test_dependencies_on_the_same_host_stay() -> None:
    services: dict[str, Any] = {
        "web": {"depends_on": {"db": {}}, "links": ["db"], "network_mode": "service:db"},
        "db": {},
    }
    made = cut(services, {"web": ["a"], "db": ["a"]})
    assert made.documents["a"]["services"] == services
    assert made.findings == ()


@pytest.mark.parametrize(
    ("service", "key"),
    [
        ({"network_mode": "service:db"}, "network_mode"),
        ({"ipc": "service:db"}, "ipc"),
        ({"pid": "service:db"}, "pid"),
        ({"volumes_from": ["db:ro"]}, "volumes_from"),
    ],
)
def test_a_namespace_across_hosts_is_refused_by_name(service: dict[str, Any], key: str) -> None:
    with pytest.raises(UserError) as caught:
        cut({"web": service, "db": {}})
    error = caught.value
    assert error.code == CROSS_HOST_NAMESPACE
    assert (error.where.host, error.where.service, error.where.key) == ("a", "web", f"services.web.{key}")
    assert "'db'" in error.message


@pytest.mark.parametrize(
    "service",
    [{"network_mode": "host"}, {"volumes_from": ["container:other"]}, {"pid": "host", "ipc": "shareable"}],
)
def test_other_namespaces_pass(service: dict[str, Any]) -> None:
    assert cut({"web": service}, {"web": ["a"]}).documents["a"]["services"]["web"] == service


def test_a_service_of_two_hosts_keeps_what_is_beside_it() -> None:
    services: dict[str, Any] = {"web": {"depends_on": {"db": {}}, "links": ["db:store"]}, "db": {}}
    made = split(
        DOCUMENT, services, {"web": ["a", "b"], "db": ["a"]}, addresses={"a": "10.0.0.1", "b": "10.0.0.2"}
    )
    assert made.documents["a"]["services"]["web"] == services["web"]
    assert made.documents["b"]["services"]["web"] == {"extra_hosts": ["db=10.0.0.1", "store=10.0.0.1"]}
    assert {one.message.partition(":")[0] for one in made.findings} == {"web on b"}


def test_a_dropped_dependency_says_all_that_is_lost() -> None:
    waits = {"job": {"condition": "service_completed_successfully", "restart": True, "required": False}}
    made = cut({"web": {"depends_on": waits}, "job": {}}, {"web": ["a"], "job": ["b"]})
    (found,) = made.findings
    for part in ("job runs on b", "until that job has ended", "nor is it restarted", "publishes no port"):
        assert part in found.message


@pytest.mark.parametrize("reachable", [{"ports": [{"target": 1}]}, {"network_mode": "host"}])
def test_a_service_that_others_reach_is_not_called_unreachable(reachable: dict[str, Any]) -> None:
    (found,) = cut({"web": {"depends_on": {"db": {}}}, "db": reachable}).findings
    assert "publishes no port" not in found.message


@pytest.mark.parametrize(
    ("service", "addresses"),
    [
        ({"extra_hosts": ["db=192.0.2.1"]}, {"b": "10.0.0.1"}),
        ({"network_mode": "service:other"}, {"b": "10.0.0.1"}),
        ({}, {"b": "db.example.org"}),
        ({}, {}),
    ],
)
def test_a_name_is_not_given_where_it_is_taken_impossible_or_unknown(
    service: dict[str, Any], addresses: dict[str, str]
) -> None:
    services: dict[str, Any] = {"web": {**service, "depends_on": {"db": {}}}, "db": {}, "other": {}}
    placement = {"web": ["a"], "db": ["b"], "other": ["a"]}
    made = split(DOCUMENT, services, placement, addresses=addresses)
    assert made.documents["a"]["services"]["web"] == service


def test_a_service_of_two_other_hosts_has_no_single_address() -> None:
    services: dict[str, Any] = {"web": {"depends_on": {"db": {}}}, "db": {}}
    placement = {"web": ["a"], "db": ["b", "c"]}
    made = split(DOCUMENT, services, placement, addresses={"b": "10.0.0.2", "c": "10.0.0.3"})
    assert made.documents["a"]["services"]["web"] == {}
