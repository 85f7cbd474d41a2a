"""A finding on one line."""

from __future__ import annotations

from gitops.findings import Finding, FindingCode


def test_a_finding_shows_its_code_message_and_place() -> None:
    finding = Finding(
        code=FindingCode.NAME_IGNORED,
        message="it is ignored",
        file="compose.yaml",
        line=1,
        column=7,
        key="name",
    )
    assert str(finding) == "name-ignored: it is ignored (compose.yaml:1:7, key name)"


def test_a_finding_without_a_place_has_no_brackets() -> None:
    assert str(Finding(code=FindingCode.COMPOSE_WARNING, message="hm")) == "compose-warning: hm"
