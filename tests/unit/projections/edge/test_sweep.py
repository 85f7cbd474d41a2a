"""Which file is to blame when a gateway takes no change."""

from __future__ import annotations

import pytest

from projections.edge.sweep import bad_file

COLOURED = (
    "\x1b[90m2026-11-22T06:09:32Z\x1b[0m \x1b[31mERR\x1b[0m \x1b[1mError occurred during watcher callback"
    '\x1b[0m \x1b[36merror=\x1b[0m\x1b[31m"collecting file configs: '
    '/dynamic/{name}: field not found, node: srvers"\x1b[0m'
)
FINE = b"http: {routers: {}}\n"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"http: [\n", "expected"),
        (b"a: b: c\n", "mapping values"),
        (b"\xff\xfe\xfa", "unacceptable character"),
        (b"http: {bogus: {}}\n", "http.bogus"),
        (b"tls: {bogus: {}}\n", "tls.bogus"),
        (b"http: []\n", "http is no mapping"),
        (b"- x\n", "no mapping"),
        (None, "cannot be read"),
    ],
)
def test_a_foreign_file_that_nobody_can_read_is_named(content: bytes | None, why: str) -> None:
    found = bad_file({"a.yml": FINE, "sub/bad.yaml": content, "web.route.yml": b"http: ["}, ())
    assert found is not None
    assert found.name == "sub/bad.yaml"
    assert why in found.why


def test_what_the_gateway_says_tells_what_cannot_be_seen_here() -> None:
    files: dict[str, bytes | None] = {"typo.yml": FINE, "web.route.yml": FINE}
    log = [
        COLOURED.format(name="typo.yml"),
        "2026-11-22T06:09:33Z INF Configuration loaded from /dynamic/a.yml",
    ]
    found = bad_file(files, log)
    assert found is not None
    assert found.name == "/dynamic/typo.yml"
    assert "srvers" in found.why
    assert "\x1b" not in found.why
    mounted = bad_file({}, [COLOURED.format(name="own/more.yml")])
    assert mounted is not None
    assert mounted.name == "/dynamic/own/more.yml"


def test_nobody_is_blamed_without_a_reason() -> None:
    harmless: dict[str, bytes | None] = {
        "empty.yml": b"",
        "own/fine.yml": FINE,
        "skipped.yml": b"bogus: 1\nhttp:\n",
        "template.yml": b"http: {{ env `X` }}\n",
        "settings.toml": b"[http\n",
        "stagecraft.yml": b"",
        "README": b"[",
    }
    old = [COLOURED.format(name="gone.yml"), COLOURED.format(name="web.route.yml"), "INF /dynamic/empty.yml"]
    assert bad_file(harmless, old) is None
