"""A finding on one line."""

from __future__ import annotations

from gitops.findings import Finding, FindingCode, Severity


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


def test_the_code_says_how_grave_it_is() -> None:
    graves = {code: Finding(code=code, message="").severity for code in FindingCode}
    assert graves[FindingCode.UNKNOWN_KEY] is Severity.ERROR
    assert graves[FindingCode.VARIABLE_UNSET] is Severity.WARNING
    assert graves[FindingCode.UNUSED_KEY] is Severity.INFO


def test_findings_come_by_file_and_place() -> None:
    late = Finding(code=FindingCode.NAME_IGNORED, message="", file="b", line=1)
    early = Finding(code=FindingCode.UNUSED_KEY, message="", file="a", line=9)
    nowhere = Finding(code=FindingCode.UNUSED_KEY, message="")
    assert sorted([late, early, nowhere], key=lambda one: one.order) == [nowhere, early, late]
