"""The labels that running containers carry."""

from __future__ import annotations

from events import labels


def test_the_labels_are_a_contract_with_running_containers() -> None:
    assert labels.IDENTITY == (
        "stagecraft.project",
        "stagecraft.environment",
        "stagecraft.service",
        "stagecraft.service-hash",
        "stagecraft.log",
    )
    assert all(label.startswith(labels.PREFIX) for label in labels.IDENTITY)
