"""The tree of errors and the table of their codes."""

from __future__ import annotations

import pytest

from events.kernel.errors import (
    ExitCode,
    InternalError,
    OutsideError,
    StagecraftError,
    UserError,
    Where,
    declared_codes,
    error_code,
)

CODE = error_code("test-only", "A code of this test.")


@pytest.mark.parametrize(("kind", "exit_code"), [(UserError, 1), (OutsideError, 2), (InternalError, 3)])
def test_each_kind_has_its_exit_code(kind: type[StagecraftError], exit_code: int) -> None:
    error = kind(CODE, "It broke.")
    assert isinstance(error, StagecraftError)
    assert error.exit_code == ExitCode(exit_code)


@pytest.mark.parametrize(
    "code", ["single", "Upper-case", "two--hyphens", "under_score", "a-", "-a", "1-a", ""]
)
def test_a_code_is_kebab_case(code: str) -> None:
    with pytest.raises(ValueError, match="not a kebab-case"):
        error_code(code, "Meaning.")


def test_a_code_has_one_meaning() -> None:
    assert error_code("test-only", "A code of this test.") == "test-only"
    with pytest.raises(ValueError, match="declared twice"):
        error_code("test-only", "Something else.")


def test_an_undeclared_code_cannot_be_raised() -> None:
    with pytest.raises(ValueError, match="undeclared"):
        UserError("never-declared", "It broke.")


def test_declared_codes_are_listed_in_order() -> None:
    codes = declared_codes()
    assert codes["test-only"] == "A code of this test."
    assert list(codes) == sorted(codes)


@pytest.mark.parametrize(
    ("where", "text"),
    [
        (Where(), ""),
        (Where(file="compose.yml"), "compose.yml"),
        (Where(file="compose.yml", line=3), "compose.yml:3"),
        (
            Where(file="compose.yml", line=3, column=7, key="services.web"),
            "compose.yml:3:7, key services.web",
        ),
        (
            Where(environment="shop/prod", host="local", service="web"),
            "environment shop/prod, host local, service web",
        ),
    ],
)
def test_a_place_shows_the_parts_that_are_known(where: Where, text: str) -> None:
    assert str(where) == text


def test_an_error_says_code_message_place_and_reason() -> None:
    error = OutsideError(CODE, "It broke.", where=Where(host="local"), why="no route", next="try again")
    assert str(error) == "test-only: It broke. (host local)\nno route"
    assert str(UserError(CODE, "It broke.")) == "test-only: It broke."


def test_an_error_keeps_its_cause() -> None:
    def fails() -> None:
        try:
            int("x")
        except ValueError as cause:
            raise UserError(CODE, "It broke.") from cause

    with pytest.raises(UserError) as raised:
        fails()
    assert isinstance(raised.value.__cause__, ValueError)
