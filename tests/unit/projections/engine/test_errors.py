"""Foreign words on their way to a screen."""

from __future__ import annotations

from projections.engine.errors import engine_refused, engine_unreachable, shown


def test_text_is_printable_masked_and_bounded() -> None:
    assert shown("\n  \x1b[31mred\x1b[0m \n") == "  red"
    assert shown("https://me:hunter2@example.org") == "https://***@example.org"
    assert shown("x" * 600) == "x" * 499 + "…"
    assert shown("x" * 500) == "x" * 500
    assert shown("abcdef", limit=3) == "ab…"


def test_an_address_with_a_password_is_masked() -> None:
    error = engine_unreachable("tcp://me:hunter2@example.org:2375", "refused by me:hunter2")
    assert "hunter2" not in error.message
    assert (error.code, error.exit_code) == ("engine-unreachable", 2)


def test_a_refusal_keeps_the_engines_words() -> None:
    error = engine_refused("start web", "Conflict.")
    assert (error.code, error.message, error.why) == (
        "engine-refused",
        "the engine did not start web",
        "Conflict.",
    )
