"""What services of several hosts seem to share."""

from __future__ import annotations

from typing import Any

import pytest

from events.kernel.errors import UserError
from events.manifest import STATE_PREFIX
from gitops.compose.sharing import CROSS_HOST_VOLUME, sharing_findings
from gitops.findings import FindingCode

ON_A = {"type": "volume", "source": "data"}


def using(*mounts: dict[str, Any], **more: Any) -> dict[str, Any]:  # noqa: ANN401  # parts of a service
    return {"volumes": list(mounts), **more}


def test_a_volume_of_two_hosts_is_refused_by_name() -> None:
    with pytest.raises(UserError) as caught:
        sharing_findings({}, {"web": using(ON_A), "job": using(ON_A)}, {"web": ["a", "b"], "job": ["a"]})
    error = caught.value
    assert (error.code, error.where.key) == (CROSS_HOST_VOLUME, "volumes.data")
    assert "job on a; web on a, b".replace("; ", ", ") in error.message


def test_a_folder_of_state_counts_as_a_volume_and_one_of_the_host_does_not() -> None:
    state = {"type": "bind", "source": f"{STATE_PREFIX}up$$loads"}
    places = {"web": ["a"], "job": ["b"]}
    with pytest.raises(UserError) as caught:
        sharing_findings({}, {"web": using(state), "job": using(state)}, places)
    assert "'up$loads'" in caught.value.message
    host = {"type": "bind", "source": "/srv/x"}
    assert sharing_findings({}, {"web": using(host), "job": using(host)}, places) == []


@pytest.mark.parametrize(
    "definition",
    [{"driver": "rexray"}, {"driver": "local", "driver_opts": {"type": "nfs4", "device": ":/x"}}],
)
def test_storage_that_every_host_reaches_is_shared(definition: dict[str, Any]) -> None:
    document = {"volumes": {"data": definition}}
    services = {"web": using(ON_A), "job": using(ON_A)}
    assert sharing_findings(document, services, {"web": ["a"], "job": ["b"]}) == []


def test_a_service_of_two_hosts_has_a_volume_on_each_with_a_finding() -> None:
    (found,) = sharing_findings({}, {"web": using(ON_A)}, {"web": ["b", "a"]})
    assert (found.code, found.key) == (FindingCode.VOLUME_PER_HOST, "volumes.data")
    assert "a, b each have their own" in found.message


def test_services_on_the_same_hosts_share_as_they_always_did() -> None:
    services = {"web": using(ON_A), "job": using(ON_A)}
    assert sharing_findings({}, services, {"web": ["a"], "job": ["a"]}) == []


def test_a_network_of_two_hosts_is_told_of() -> None:
    services = {"web": {"networks": {"net": None, "own": None}}, "db": {"networks": {"net": None}}}
    (found,) = sharing_findings({"networks": {"net": None}}, services, {"web": ["a"], "db": ["b"]})
    assert (found.code, found.key) == (FindingCode.NETWORK_PER_HOST, "networks.net")


@pytest.mark.parametrize(
    ("networks", "places"),
    [
        ({"net": {"driver": "overlay"}}, {"web": ["a"], "db": ["b"]}),
        ({"net": {}}, {"web": ["a"], "db": ["a"]}),
        ({"net": {}}, {"web": ["a", "b"], "db": ["a", "b"]}),
    ],
)
def test_a_network_that_parts_nobody_is_not(networks: dict[str, Any], places: dict[str, list[str]]) -> None:
    services = {"web": {"networks": {"net": None}}, "db": {"networks": {"net": None}}}
    assert sharing_findings({"networks": networks}, services, places) == []
