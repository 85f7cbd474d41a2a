"""A plan as a comment: a table whatever the names are, and never longer than a comment may be."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.plan_markdown import MAX_CHARACTERS, as_markdown, escaped
from cli.plan_text import as_text
from controller.changes import Change, Outage
from controller.differences import Reason
from controller.plan_filters import Filters
from controller.preview import UNKNOWN_VERSION, Preview

CHANGES = (
    Change(
        host="local",
        service="web",
        action="replace",
        reasons=(Reason(kind="image", text="image web:1 -> web:2"),),
        containers=2,
    ),
    Change(host="local", service="old", action="remove", reasons=(Reason(kind="orphan", text="gone"),)),
    Change(host="local", service="migrate", action="run", reasons=(Reason(kind="new", text="new"),)),
    Change(host="local", service="db", action="keep", reasons=(Reason(kind="unchanged", text="unchanged"),)),
)
SHOWN = Preview(
    project="shop",
    environment="prod",
    version="v1",
    revision="0" * 40,
    digest=None,
    against="what is deployed",
    against_revision=None,
    filters=Filters(),
    hosts=("local",),
    phases=(),
    changes=CHANGES,
    outages=(
        Outage(
            host="local", service="web", causes=("fixed host port 80/tcp", "volume a"), at_most_seconds=30
        ),
    ),
    unpinned=(),
    findings=("compose.yaml: a finding",),
    refused=("privileged (web is privileged)",),
)
ALLOWED = re.compile(r"(?:[A-Za-z0-9 .,:;/()=+-]|&#\d+;)*")


def test_a_comment_has_a_table_of_what_changes_and_lists_of_the_rest() -> None:
    lines = as_markdown(SHOWN).splitlines()
    assert lines[0] == "### Plan for shop/prod"
    assert lines[2].startswith("**1 to replace, 1 to remove, 1 to run once, 1 unchanged**.")
    assert "| `~` | local | web | image web:1 -&#62; web:2 (2 containers) |" in lines
    assert "| `-` | local | old | gone |" in lines
    assert "| `+` | local | migrate | the job runs: new |" in lines
    assert "- privileged (web is privileged)" in lines
    assert any(line.startswith("- local/web: fixed host port 80/tcp") for line in lines)
    assert "- compose.yaml: a finding" in lines
    assert not any(line != line.rstrip() for line in lines)


def test_nothing_to_do_is_said() -> None:
    quiet = replace(SHOWN, changes=CHANGES[3:], outages=(), refused=(), findings=())
    assert "**Nothing changes**: 1 unchanged." in as_markdown(quiet)
    assert "|" not in as_markdown(quiet)


HOSTILE = (
    *("a | b", "`code`", "<script>alert(1)</script>", "\x1b[31mred", "one\ntwo", "[x](javascript:y)"),
    *("![](http://e/x.png)", "@everyone", "#12", "!34", "# title", "- item", "1. item", "---", "&amp;"),
    *("**bold**", "~~gone~~", "\u202eevil", "https://evil.example/x", "www.evil.example", "$x$", "<!-- -->"),
    *(":smile:", "\\|", "\ud800"),
)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_text(name: str) -> None:
    told = escaped(name)
    assert ALLOWED.fullmatch(told)
    assert "://" not in told
    assert "www." not in told
    assert not re.match(r"[-+=:.0-9]", told)
    hostile = replace(SHOWN, changes=(replace(CHANGES[0], service=name),), refused=(name,), findings=(name,))
    lines = as_markdown(hostile).splitlines()
    (row,) = [line for line in lines if line.startswith("| `~`")]
    assert row.count("|") == 5
    assert len(lines) == len(as_markdown(replace(hostile, refused=("x",), findings=("x",))).splitlines())


@given(st.text(max_size=40))
def test_any_text_is_one_line_of_safe_marks(text: str) -> None:
    assert ALLOWED.fullmatch(escaped(text))


def test_a_long_plan_fits_a_comment_and_says_what_is_left_out() -> None:
    long = "\u2603" * 3_000
    many = replace(
        SHOWN,
        changes=tuple(replace(CHANGES[0], service=f"s{number}-{long}") for number in range(500)),
        outages=tuple(
            Outage(host="local", service=long, causes=(long,), at_most_seconds=30) for _ in range(500)
        ),
        findings=(long,) * 500,
        refused=(long,) * 500,
        notes=(long,) * 500,
        unpinned=(long,) * 500,
        version=long,
    )
    told = as_markdown(many)
    assert len(told) <= MAX_CHARACTERS
    assert "| | | | and 49" in told
    assert "- and 49" in told


def test_the_text_lists_what_stays_only_when_verbose() -> None:
    short = as_text(SHOWN)
    assert "  = 1 unchanged" in short
    assert "= local/db" not in short
    assert "  = local/db: unchanged" in as_text(SHOWN, verbose=True)
    assert "  ~ local/web: image web:1 -> web:2 (2 containers)" in short
    assert "Outages, because the old container ends before the new one begins:" in short


def test_a_commit_without_a_version_is_named_by_itself() -> None:
    shown = replace(SHOWN, version=UNKNOWN_VERSION, revision="a" * 40)
    assert as_markdown(SHOWN).splitlines()[2].endswith("Version v1, compared with what is deployed.")
    assert as_markdown(shown).splitlines()[2].endswith(f"Commit {'a' * 40}, compared with what is deployed.")
    assert as_text(shown).splitlines()[1] == "Version: unknown"
    assert f"Revision: {'a' * 40}" in as_text(shown).splitlines()


def test_services_whose_requests_share_their_lot_are_one_line() -> None:
    moving = [replace(CHANGES[0], service=name, requests="they move") for name in ("api", "web")]
    shown = replace(SHOWN, changes=(*moving, CHANGES[3]))
    assert "Requests:\n  local/api, local/web: they move\n" in as_text(shown)
    assert "- local/api, local/web: they move" in as_markdown(shown)
    assert "Requests" not in as_text(SHOWN)
    assert moving[0].as_json()["requests"] == "they move"
