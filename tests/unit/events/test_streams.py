"""Names of streams."""

from __future__ import annotations

import pytest

from events import streams
from events.streams import StreamName, kind_of, split_environment


def test_the_names_of_streams_are_a_contract() -> None:
    names = {
        streams.environment_stream("shop", "prod"): "environment/shop/prod",
        streams.release_stream("rel-20260102-030405000"): "release/rel-20260102-030405000",
        streams.repository_stream("shop"): "repository/shop",
        streams.host_stream("local"): "host/local",
        streams.tenant_stream("shop", "acme"): "tenant/shop/acme",
        streams.LOG_STREAM: "log",
    }
    assert all(made == name for made, name in names.items())
    assert [kind_of(name) for name in names] == [
        "environment",
        "release",
        "repository",
        "host",
        "tenant",
        "log",
    ]


@pytest.mark.parametrize(
    ("stream", "parts"),
    [
        ("environment/shop/prod", ("shop", "prod")),
        ("environment/shop", None),
        ("environment/shop/", None),
        ("environment//prod", None),
        ("release/shop/prod", None),
        ("log", None),
    ],
)
def test_an_environments_stream_gives_project_and_name_back(
    stream: str, parts: tuple[str, str] | None
) -> None:
    assert split_environment(StreamName(stream)) == parts
