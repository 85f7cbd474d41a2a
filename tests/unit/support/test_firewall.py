"""What an engine added to the firewall is taken back, and nothing else."""

from __future__ import annotations

from tests.support.firewall import undo

BEFORE = ("*filter", ":INPUT ACCEPT", ":FORWARD ACCEPT", ":MINE -", "-A INPUT -j MINE", "COMMIT")
AFTER = (
    "*filter",
    ":INPUT ACCEPT",
    ":FORWARD DROP",
    ":DOCKER -",
    ":MINE -",
    "-A INPUT -j MINE",
    "-A FORWARD -o docker0 -j DOCKER",
    '-A DOCKER -m comment --comment "two words" -j RETURN',
    "COMMIT",
    "*nat",
    ":OUTPUT ACCEPT",
    ":DOCKER -",
    "-A OUTPUT ! -d 127.0.0.0/8 -j DOCKER",
    "COMMIT",
)


def test_rules_go_before_their_chains_and_policies_come_back() -> None:
    assert list(undo(BEFORE, AFTER)) == [
        ["--table", "filter", "--delete", "FORWARD", "-o", "docker0", "-j", "DOCKER"],
        [
            "--table",
            "filter",
            "--delete",
            "DOCKER",
            "-m",
            "comment",
            "--comment",
            "two words",
            "-j",
            "RETURN",
        ],
        ["--table", "nat", "--delete", "OUTPUT", "!", "-d", "127.0.0.0/8", "-j", "DOCKER"],
        ["--table", "filter", "--policy", "FORWARD", "ACCEPT"],
        ["--table", "filter", "--delete-chain", "DOCKER"],
        ["--table", "nat", "--policy", "OUTPUT", "ACCEPT"],
        ["--table", "nat", "--delete-chain", "DOCKER"],
    ]


def test_a_policy_that_was_not_ours_comes_back() -> None:
    before = ("*filter", ":FORWARD DROP", "COMMIT")
    after = ("*filter", ":FORWARD ACCEPT", "COMMIT")
    assert list(undo(before, after)) == [["--table", "filter", "--policy", "FORWARD", "DROP"]]


def test_nothing_is_done_where_nothing_was_added() -> None:
    assert not list(undo(AFTER, AFTER))
