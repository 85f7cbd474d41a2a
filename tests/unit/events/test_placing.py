"""What each host is to run after the verdicts of Releases."""

from __future__ import annotations

from events.placing import after_failure, after_partial

HOSTS = ("a", "b", "c")


def test_some_hosts_are_placed_until_all_have_it() -> None:
    first = after_partial({}, "old", digest="new", scope=["a"], hosts=HOSTS)
    assert first is not None
    assert first == {"a": "new"}
    second = after_partial(first, "old", digest="new", scope=["b"], hosts=HOSTS)
    assert second is not None
    assert second == {"a": "new", "b": "new"}
    assert after_partial(second, "old", digest="new", scope=["c"], hosts=HOSTS) is None


def test_hosts_that_the_manifest_does_not_have_are_no_matter() -> None:
    assert after_partial({}, "old", digest="new", scope=["a", "b"], hosts=("a", "b")) is None


def test_a_host_that_goes_back_to_what_is_deployed_is_placed_no_more() -> None:
    placed = {"a": "new", "b": None}
    assert after_partial(placed, "old", digest="old", scope=["a"], hosts=HOSTS) == {"b": None}
    assert after_partial(placed, "old", digest="old", scope=["a", "b"], hosts=HOSTS) is None


def test_what_stays_is_placed_where_it_stays() -> None:
    ends = {
        "a": ("completed", "new"),
        "b": ("failed", None),
        "c": ("untouched", "old"),
        "d": ("unknown", None),
    }
    assert after_failure({}, "old", ends, stays=True) == {"a": "new", "b": None, "d": None}
    assert after_failure({}, "old", ends, stays=False) == {}
    assert after_failure({}, None, ends, stays=True) == {}


def test_what_went_back_is_where_it_was() -> None:
    ends = {"a": ("restored", "old"), "b": ("restored", "mid"), "c": ("unknown", None)}
    assert after_failure({"a": None, "b": "mid"}, "old", ends, stays=False) == {"b": "mid"}


def test_a_host_that_a_failed_release_brought_to_what_is_deployed_is_there() -> None:
    ends = {"a": ("completed", "old"), "b": ("failed", None)}
    assert after_failure({"a": "new", "b": "new"}, "old", ends, stays=False) == {"b": "new"}
