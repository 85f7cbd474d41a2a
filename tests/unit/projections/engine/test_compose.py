"""What Compose prints, read without Compose; the client itself is tried in tests/integration/engine."""

from __future__ import annotations

import json

import pytest

from events.kernel.process import Finished
from projections.engine.compose_words import failure_words, parse_prediction


def progress(*lines: tuple[str, str, str]) -> str:
    return "\n".join(json.dumps({"id": what, "status": status, "text": text}) for what, status, text in lines)


def finished(stderr: str, *, code: int = 1) -> Finished:
    return Finished(argv=("docker-compose",), code=code, stdout=b"", stderr=stderr.encode())


def test_a_recreated_container_is_known_by_its_own_name_and_not_as_started() -> None:
    prediction = parse_prediction(
        "",
        progress(
            ("Container p-a-1", "Done", "Running"),
            ("Container p-b-1", "Working", "Recreate"),
            ("Container p-b-1", "Done", "Recreated"),
            ("Container 576f01eb18c0_p-b-1", "Working", "Starting"),
            ("Container 576f01eb18c0_p-b-1", "Done", "Started"),
        ),
    )
    assert (prediction.recreated, prediction.running) == (("p-b-1",), ("p-a-1",))
    assert (prediction.created, prediction.started, prediction.removed, prediction.messages) == (
        (),
        (),
        (),
        (),
    )


def test_a_created_container_is_not_named_as_started_too() -> None:
    prediction = parse_prediction(
        "", progress(("Container p-a-1", "Done", "Created"), ("Container p-a-1", "Done", "Started"))
    )
    assert (prediction.created, prediction.started) == (("p-a-1",), ())


def test_a_stopped_container_is_started_and_a_replica_too_many_removed() -> None:
    prediction = parse_prediction(
        "",
        progress(
            ("Container p-b-2", "Done", "Stopped"),
            ("Container p-b-2", "Done", "Removed"),
            ("Container p-a-1", "Done", "Started"),
            ("Container p-a-1", "Done", "Started"),
        ),
    )
    assert (prediction.started, prediction.removed) == (("p-a-1",), ("p-b-2",))
    assert prediction.messages == ("Container p-b-2 Stopped",)


def test_a_network_that_is_made_anew_is_named_once() -> None:
    prediction = parse_prediction(
        "",
        progress(
            ("Network p_n", "Done", "Removed"),
            ("Network p_n", "Done", "Removed"),
            ("Network p_n", "Done", "Created"),
            ("Volume p_v", "Done", "Created"),
        ),
    )
    assert prediction.removed_networks == ("p_n",)
    assert prediction.messages == ("Network p_n Created", "Volume p_v Created")


def test_whatever_stands_on_standard_output_is_a_question() -> None:
    question = 'Volume "p_v" exists but doesn\'t match configuration. Recreate (data will be lost)?'
    assert parse_prediction(question, "").volume_question == question
    assert parse_prediction("\n", "").volume_question == ""


def test_warnings_and_plain_text_are_messages() -> None:
    warning = json.dumps({"level": "warning", "msg": 'The "X" variable is not set.', "time": "now"})
    prediction = parse_prediction("", f"{warning}\nplain words\n\n[1]\n{warning}\n")
    assert prediction.messages == ('The "X" variable is not set.', "plain words", "[1]")


def test_names_are_sorted() -> None:
    lines = progress(("Container p-b-1", "Done", "Created"), ("Container p-a-1", "Done", "Created"))
    assert parse_prediction("", lines).created == ("p-a-1", "p-b-1")


def test_a_failure_speaks_with_its_last_error_line() -> None:
    stderr = "\n".join(
        [
            progress(("Container p-a-1", "Error", "Error response from daemon: first")),
            json.dumps({"error": True, "message": "not this"}),
            json.dumps({"error": True, "message": "Error response from daemon: No such image: x:1"}),
        ]
    )
    assert failure_words(finished(stderr)) == "Error response from daemon: No such image: x:1"


def test_plain_words_of_the_engine_follow_the_error() -> None:
    stderr = 'Error response from daemon: exec: "nope"\n' + json.dumps(
        {"error": True, "message": "failed to start containers: 844b"}
    )
    words = 'failed to start containers: 844b\nError response from daemon: exec: "nope"'
    assert failure_words(finished(stderr)) == words


@pytest.mark.parametrize("stderr", ["", '{"error":true}', '{"id":"Container x","status":"Working"}'])
def test_a_failure_without_words_says_its_code(stderr: str) -> None:
    assert failure_words(finished(stderr, code=130)) == "Compose ended with code 130 and said nothing"


def test_words_are_safe_to_show() -> None:
    stderr = json.dumps({"error": True, "message": "cannot fetch https://me:hunter2@example.org/\u001b[1m"})
    assert failure_words(finished(stderr)) == "cannot fetch https://***@example.org/"
