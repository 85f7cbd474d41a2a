"""How hosts and jump hosts are written."""

from __future__ import annotations

import pytest

from events.kernel.errors import UserError
from projections.transport.ssh_settings import JUMP_HOST_BAD, SshLogin, jump_login


@pytest.mark.parametrize(
    ("text", "login"),
    [
        ("deploy@bastion", SshLogin(address="bastion", user="deploy")),
        (
            "deploy@bastion.example.org:2222",
            SshLogin(address="bastion.example.org", port=2222, user="deploy"),
        ),
        ("deploy@[2001:db8::1]", SshLogin(address="2001:db8::1", user="deploy")),
        ("deploy@[2001:db8::1]:2222", SshLogin(address="2001:db8::1", port=2222, user="deploy")),
        ("de@ploy@bastion", SshLogin(address="bastion", user="de@ploy")),
    ],
)
def test_a_jump_host_is_a_user_and_a_place(text: str, login: SshLogin) -> None:
    assert jump_login(text) == login
    assert jump_login(str(login)) == login


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bastion",
        "@bastion",
        "deploy@",
        "deploy@bastion:",
        "deploy@bastion:0",
        "deploy@bastion:65536",
        "deploy@bastion:ssh",
        "deploy@[::1",
        "deploy@[::1]:",
        "deploy@[::1]22",
        "-oProxyCommand=x@bastion",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UserError) as caught:
        jump_login(text)
    assert caught.value.code == JUMP_HOST_BAD


def test_a_host_is_known_by_its_address_and_by_another_port() -> None:
    assert SshLogin(address="h1").known_as == "h1"
    assert SshLogin(address="h1", port=2222).known_as == "[h1]:2222"
    assert SshLogin(address="h1", port=2222, user="a").command == "ssh -p 2222 a@h1"
