"""Many faults in one error."""

from __future__ import annotations

from gitops.config.faults import CONFIG_INVALID, ConfigInvalidError, Fault, dotted, unknown
from gitops.yamlnodes import Mark


def test_list_positions_are_shown_in_brackets() -> None:
    assert dotted(("hosts", "app", 0)) == "hosts.app[0]"
    assert dotted(()) == ""


def test_the_first_fault_of_the_file_leads() -> None:
    later = Fault(file="f", message="later", key=("b",), mark=Mark(line=9, column=1))
    first = Fault(file="f", message="first", key=("a",), mark=Mark(line=2, column=3))
    error = ConfigInvalidError([later, first])
    assert (error.code, error.where.line, error.where.key) == (CONFIG_INVALID, 2, "a")
    assert error.message.index("first") < error.message.index("later")


def test_one_fault_is_the_message_itself() -> None:
    assert ConfigInvalidError([Fault(file="f", message="alone")]).message == "alone"


def test_a_near_name_is_proposed_and_a_far_one_is_not() -> None:
    assert (
        unknown("key", "rol", ["role", "gate"])
        == "unknown key 'rol'; did you mean 'role'? (allowed: gate, role)"
    )
    assert "mean" not in unknown("key", "zzz", ["role"])
    assert unknown("role", "x", []).endswith("(allowed: nothing)")
