"""What Stagecraft renders is what Compose renders, but for what the reference says."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gitops.compose.differences import DIFFERENCES, REFUSALS
from tests.parity.apps import App, find_apps
from tests.parity.compare import Result, Verdict, mismatches
from tests.parity.documented import ALWAYS, STEPS
from tests.parity.report import table, totals
from tests.parity.run import run
from tests.parity.schema import all_keys, used_keys

CORPUS = Path(__file__).parent / "corpus"
SAMPLE = (
    "builds",
    "files",
    "incomplete",
    "interpolation",
    "merging",
    "outside-volumes",
    "volumes",
    "working-folder",
)


def compared(corpus: Path, folder: Path, *names: str) -> list[Result]:
    """The results of the named folders of the corpus, of all unless some are named."""
    chosen = corpus
    if names:
        chosen = folder / "chosen"
        for name in names:
            shutil.copytree(corpus / name, chosen / name)
    return asyncio.run(run(chosen, folder / "work", jobs=2))


def test_every_key_of_the_specification_is_in_the_corpus() -> None:
    assert len(all_keys()) > 300
    assert sorted(all_keys() - used_keys(CORPUS)) == []


def test_each_difference_in_the_reference_has_a_step_and_each_step_an_entry() -> None:
    assert sorted(STEPS) == sorted(one.name for one in DIFFERENCES)


def test_a_sample_of_the_corpus_is_equal(tmp_path: Path) -> None:
    results = compared(CORPUS, tmp_path, *SAMPLE)
    assert {name for name in SAMPLE if not any(one.app.path.startswith(name) for one in results)} == set()
    assert [line for line in table(results) if Verdict.DIFFERENT in line] == []
    assert [one for one in results if one.verdict is Verdict.REFUSED] == []


@pytest.mark.slow
def test_the_corpus_is_equal_and_shows_every_documented_difference(tmp_path: Path) -> None:
    results = compared(CORPUS, tmp_path)
    assert [line for line in table(results) if Verdict.DIFFERENT in line] == []
    refused = {one.app.path for one in results if one.verdict is Verdict.REFUSED}
    assert {path for path in refused if not path.startswith("refused/")} == set()
    for one in results:
        if one.app.path.startswith("refused/"):
            assert one.code == one.app.folder.rpartition("/")[2]
            assert one.code in REFUSALS or one.verdict is Verdict.BOTH_REFUSE
    shown = {name for one in results if one.verdict is Verdict.DOCUMENTED for name in one.detail.split(", ")}
    assert sorted({one.name for one in DIFFERENCES} - ALWAYS - shown) == []


def test_the_program_finds_apps_at_any_depth_and_changes_nothing(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    for name in ("one/compose.yaml", "a/b/c/docker-compose.yml", "single.yml", "by-another-name.yaml"):
        (corpus / name).parent.mkdir(parents=True, exist_ok=True)
        (corpus / name).write_text("services: {web: {image: example.invalid/web}}\n")
    (corpus / "one" / "values.yml").write_text("replicas: 2\n")
    (corpus / "one" / ".git").mkdir()
    (corpus / "one" / ".git" / "compose.yml").write_text("not mine\n")
    (corpus / "bad").mkdir()
    (corpus / "bad" / "compose.yaml").write_text("services: {web: {imag: typo}}\n")
    before = sorted((path, path.stat().st_mtime_ns) for path in corpus.rglob("*"))
    done = subprocess.run(
        [sys.executable, "-m", "tests.parity", corpus],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = dict(line.split("  ", 1) for line in done.stdout.split("\n\n")[0].splitlines())
    found = {path: rest.strip() for path, rest in lines.items()}
    assert found.pop("bad/compose.yaml").startswith(f"{Verdict.BOTH_REFUSE}  compose-invalid")
    assert found == dict.fromkeys(
        ("one/compose.yaml", "a/b/c/docker-compose.yml", "single.yml", "by-another-name.yaml"), "equal"
    )
    assert sorted((path, path.stat().st_mtime_ns) for path in corpus.rglob("*")) == before


def test_the_first_key_that_differs_is_told_with_both_values() -> None:
    mine = {"services": {"web": {"ports": [80, 81], "init": True, "extra": 1}}}
    other = {"services": {"web": {"ports": [80, 82], "init": 1}}}
    assert [str(one) for one in mismatches(mine, other)] == [
        "services.web.extra: ours 1, Compose absent",
        "services.web.init: ours true, Compose 1",
        "services.web.ports[1]: ours 81, Compose 82",
    ]
    assert list(mismatches(mine, mine)) == []


def test_the_report_counts_refusals_by_their_code() -> None:
    app = App(path="a/compose.yaml")
    results = [
        Result(app=app, verdict=Verdict.REFUSED, code="compose-home-refused", detail="why"),
        Result(app=App(path="b.yml"), verdict=Verdict.EQUAL),
    ]
    assert table(results)[0].split("  ") == ["a/compose.yaml", "refused by us", "why"]
    assert "            1  compose-home-refused" in totals(results)
    assert "    0  different" in totals(results)


def test_values_files_and_schemas_are_no_apps(tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_text("image: {services: 3}\n")
    (tmp_path / "list.yaml").write_text("- services\n")
    (tmp_path / "broken.yaml").write_text("a: [\n")
    (tmp_path / "compose.prod.yaml").write_text("a: [\n")
    assert [app.path for app in find_apps(tmp_path)] == ["compose.prod.yaml"]
