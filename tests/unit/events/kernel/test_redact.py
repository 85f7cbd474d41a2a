"""The one redactor, against texts that programs really print."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.kernel.redact import MASK, REDACT, Redactor, printable

SECRET = "hunter22"  # noqa: S105  # nobody's
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl"
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\nhunter22\n-----END OPENSSH PRIVATE KEY-----"
LEAKS = [
    f"fatal: unable to access 'https://me:{SECRET}@example.org/x.git/': 403",
    f"https://{SECRET}@github.com/o/r.git",
    f"postgres://app:p@{SECRET}@db:5432/app",
    f"postgres://app:pa/{SECRET}@db:5432/app",
    f"amqp://app:{SECRET}#1@mq and redis://:{SECRET}@cache",
    f"Authorization: Basic {SECRET}",
    f'{{"Authorization": "Bearer {SECRET}"}}',
    f"authorization={SECRET}",
    f"Proxy-Authorization: Digest {SECRET}",
    f"sent bearer {SECRET} to the registry",
    f"DB_PASSWORD={SECRET}",
    f"host=db password='{SECRET} or more' user=app",
    f"GET /v2/?service=x&access_token={SECRET}&scope=y",
    f"--api-key={SECRET} --verbose",
    f'password = "{SECRET}"',
    f"AWS_SECRET_ACCESS_KEY={SECRET}",
    f"MYSQL_PASS={SECRET}",
    f'{{"username":"me","password":"{SECRET}"}}',
    f'{{"client_secret" : "a\\"{SECRET}"}}',
    f"  POSTGRES_PASSWORD: {SECRET}",
    f"  STRIPE_API_KEY: {SECRET}",
    KEY,
    KEY.partition("-----END")[0],
]
TOKENS = [
    "ghp_" + "a1B2" * 9,
    "github_pat_" + "a1B2" * 10,
    "glpat-" + "a1B2" * 5,
    "dckr_pat_" + "a1B2" * 6,
    "xoxb-1234567890-abcdef",
    "npm_" + "a1B2" * 9,
    "AKIA" + "ABCD" * 4,
    "sk_live_" + "a1B2" * 6,
    "AGE-SECRET-KEY-1" + "QPZRY9X8" * 7,
    JWT,
]
HARMLESS = [
    "services.web.secrets: additional properties are not allowed",
    "secret: not found",
    "password authentication failed for user app",
    "unknown token near line 3",
    "pull registry:5000/app@sha256:0123 from https://registry:5000/v2/app",
    "http://registry:5000/v2/app/manifests/sha256:0123@latest",
    "git@github.com:owner/repository.git",
    "see https://example.org/a?b=c#d",
    "bypass=true, compass=north",
    "the bearer of bad news",
    "key: value, KEYS: 3",
]


@pytest.mark.parametrize("text", LEAKS)
def test_a_credential_is_masked_by_its_shape(text: str) -> None:
    masked = REDACT(text)
    assert SECRET not in masked
    assert MASK in masked


@pytest.mark.parametrize("token", TOKENS)
def test_a_token_of_a_known_make_is_masked_wherever_it_stands(token: str) -> None:
    assert REDACT(f"remote said {token}, bye") == f"remote said {MASK}, bye"


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_credential_stays(text: str) -> None:
    assert REDACT(text) == text


@pytest.mark.parametrize("text", LEAKS + TOKENS)
def test_masking_twice_masks_no_more(text: str) -> None:
    assert REDACT(REDACT(text)) == REDACT(text)


def test_what_stands_around_a_credential_stays() -> None:
    assert REDACT(LEAKS[0]) == "fatal: unable to access 'https://***@example.org/x.git/': 403"
    assert REDACT(f"user=app password={SECRET} dbname=x") == "user=app password=*** dbname=x"
    assert REDACT(f'{{"password":"{SECRET}","a":1}}') == '{"password":"***","a":1}'


SHAPELESS = 'pa$$ wörd/"+x'


@pytest.mark.parametrize(
    "text",
    [
        SHAPELESS,
        f"echo {SHAPELESS}!",
        SHAPELESS.replace("$", "$$"),
        quote_plus(SHAPELESS),
        "pa%24%24%20w%C3%B6rd/%22%2Bx",
        '{"a":"pa$$ w\\u00f6rd/\\"+x"}',
        '{"a":"pa$$ wörd/\\"+x"}',
        "cGEkJCB3w7ZyZC8iK3g=",
    ],
)
def test_a_learned_value_is_masked_in_the_forms_that_programs_print(text: str) -> None:
    redactor = Redactor()
    assert redactor(text) == text
    redactor.learn(f"{SHAPELESS}\n")
    masked = redactor(text)
    assert MASK in masked
    assert "rd" not in masked


def test_what_was_learned_can_be_forgotten() -> None:
    redactor = Redactor()
    redactor.learn("correct-horse")
    redactor.forget()
    assert redactor("correct-horse") == "correct-horse"


def test_a_learned_key_file_is_masked_line_by_line() -> None:
    redactor = Redactor()
    redactor.learn("first-line-of-it\nsecond-line-of-it\nend\n")
    assert redactor("| second-line-of-it | in the end") == "| *** | in the end"


@pytest.mark.parametrize("value", ["", "abc", "  a  ", "\n\n\n\n\n"])
def test_a_value_that_is_too_short_is_left_alone(value: str) -> None:
    redactor = Redactor()
    redactor.learn(value)
    assert redactor("abc  a  \n\n\n\n\n") == "abc  a  \n\n\n\n\n"


def test_values_that_overlap_leave_no_rest() -> None:
    redactor = Redactor()
    for value in ("abcdef", "defghi", "abcd", "bcde", "xyxy"):
        redactor.learn(value)
    assert redactor("-abcdefghi-abcd-abcdef-xyxyxy-") == "-***-***-***-***-"


@given(
    st.lists(st.text("abc", min_size=4, max_size=6), max_size=4),
    st.text("abc-", max_size=40),
)
def test_no_learned_value_is_left_in_any_text(values: list[str], text: str) -> None:
    redactor = Redactor()
    for value in values:
        redactor.learn(value)
    masked = redactor(text)
    assert not any(value in masked for value in values)
    assert values or masked == text


def test_learning_and_masking_share_a_redactor_between_threads() -> None:
    redactor = Redactor()
    with ThreadPoolExecutor(4) as pool:
        learning = pool.map(redactor.learn, [f"secret-number-{number}" for number in range(300)])
        masking = list(pool.map(redactor, ["a quiet text"] * 300))
        list(learning)
    assert set(masking) == {"a quiet text"}
    assert all(redactor(f"secret-number-{number}") == MASK for number in range(300))


@pytest.mark.parametrize(
    "text",
    [
        "a" * 100_000,
        "a://" * 20_000,
        "a://b:" * 15_000,
        "password" * 12_000,
        "Authorization:" * 8_000,
        "-----BEGIN PRIVATE KEY-----" * 3_000,
        "bearer " * 15_000,
        '"' * 100_000,
        "\x1b]" * 50_000,
        "A_KEY" * 20_000,
    ],
)
def test_a_hostile_text_takes_no_more_than_a_moment(text: str) -> None:
    started = time.monotonic()
    REDACT(printable(text))
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ü\ttext\n", "plain ü\ttext\n"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07shown", "shown"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]0;never ended\nnext", "0;never ended\nnext"),
        ("\x1bPq#0\x1b\\shown\x1b(B\x1b7", "shown"),
        ("\x9b31mred", "red"),
        ("10%\r20%\r\ndone\r\r\n", "10%\n20%\ndone\n"),
        ("a\x00b\x07c\x08d\x7fe\x85f", "abcdef"),
        ("user\u202egnp.exe\u2066\u200f\u061c\u2028", "usergnp.exe"),
        ("bad \udcff byte", "bad \ufffd byte"),
    ],
)
def test_only_text_reaches_a_terminal(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(st.characters(min_codepoint=0, max_codepoint=0x9F) | st.sampled_from("\u202e\ud800ü€")))
def test_what_is_printable_has_no_control_and_stays_so(text: str) -> None:
    shown = printable(text)
    assert all(char in "\t\n" or ord(char) not in {*range(0x20), *range(0x7F, 0xA0)} for char in shown)
    assert shown.encode().decode() == shown
    assert printable(shown) == shown
