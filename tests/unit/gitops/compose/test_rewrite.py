"""The rendered document as it runs on a host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from events.kernel.errors import UserError
from events.manifest import FILES_PREFIX, STATE_PREFIX
from gitops.compose.faults import COMPOSE_PATH_REFUSED, VOLUME_AMBIGUOUS
from gitops.compose.files import Collector
from gitops.compose.portable import COMMIT_PREFIX, COMPOSE_PATH_UNSUPPORTED
from gitops.compose.render import Rendered
from gitops.compose.rewrite import (
    EXTERNAL_UNSUPPORTED,
    IMAGE_MISSING,
    LABEL_RESERVED,
    refuse_left_paths,
    rewrite,
)
from gitops.findings import FindingCode
from tests.unit.gitops.trees import tree_of

FILES: dict[str, str | bytes] = {"conf/x": "1", "app.ini": "2", "a$b": "3"}


def rewritten(
    folder: Path, service: dict[str, Any], sections: dict[str, Any] | None = None, **values: str
) -> tuple[dict[str, Any], Collector]:
    collector = Collector(tree=tree_of(folder, FILES), folder="")
    document = {"name": "p", "services": {"web": {"image": "x", **service}}, **(sections or {})}
    services = rewrite(
        Rendered(document=document, services=frozenset({"web"}), values=values, findings=()), collector
    )
    return services["web"], collector


def refusal(folder: Path, service: dict[str, Any], sections: dict[str, Any] | None = None) -> UserError:
    with pytest.raises(UserError) as caught:
        rewritten(folder, service, sections)
    return caught.value


def test_what_has_been_done_already_is_dropped(tmp_path: Path) -> None:
    gone = dict.fromkeys(("build", "develop", "label_file", "profiles", "pull_policy", "x-y"), "z")
    service, _ = rewritten(tmp_path, {**gone, "command": None, "depends_on": {"db": {}}})
    assert service == {"image": "x", "command": None, "depends_on": {"db": {}}}


def test_an_empty_placement_is_dropped(tmp_path: Path) -> None:
    service, _ = rewritten(tmp_path, {"deploy": {"placement": {}, "replicas": 2}})
    assert service["deploy"] == {"replicas": 2}
    kept, _ = rewritten(tmp_path, {"deploy": {"placement": {"max_replicas_per_node": 1}}})
    assert kept["deploy"] == {"placement": {"max_replicas_per_node": 1}}


def test_a_committed_folder_is_mounted_read_only(tmp_path: Path) -> None:
    mount = {"type": "bind", "source": f"{COMMIT_PREFIX}conf", "target": "/c", "bind": {"propagation": "x"}}
    service, _ = rewritten(tmp_path, {"volumes": [mount]})
    (made,) = service["volumes"]
    assert made["source"].startswith(FILES_PREFIX)
    assert made["read_only"] is True
    assert made["bind"] == {"propagation": "x", "create_host_path": False}


def test_a_path_that_is_not_committed_is_made_on_the_host(tmp_path: Path) -> None:
    mount = {"type": "bind", "source": f"{COMMIT_PREFIX}data", "target": "/d"}
    service, _ = rewritten(tmp_path, {"volumes": [mount]})
    assert service["volumes"] == [
        {"type": "bind", "source": f"{STATE_PREFIX}data", "target": "/d", "bind": {"create_host_path": True}}
    ]


def test_other_mounts_stay_as_they_are(tmp_path: Path) -> None:
    mounts: list[dict[str, Any]] = [
        {"type": "volume", "source": "data", "target": "/d"},
        {"type": "volume", "target": "/anonymous"},
        {"type": "bind", "source": "/var/run/docker.sock", "target": "/s", "bind": {}},
        {"type": "tmpfs", "target": "/t"},
    ]
    service, collector = rewritten(tmp_path, {"volumes": mounts})
    assert service["volumes"] == mounts
    assert collector.looked_for == set()


def test_a_dollar_in_a_path_is_looked_up_plain_and_written_doubled(tmp_path: Path) -> None:
    mount = {"type": "bind", "source": f"{COMMIT_PREFIX}a$$b", "target": "/d"}
    service, collector = rewritten(tmp_path, {"volumes": [mount]})
    assert collector.looked_for == {"a$b"}
    assert service["volumes"][0]["source"].endswith("/a$$b")


def test_configs_and_secrets_become_read_only_files_at_their_targets(tmp_path: Path) -> None:
    service, collector = rewritten(
        tmp_path,
        {
            "configs": [{"source": "ini"}, {"source": "text", "target": "/etc/t"}],
            "secrets": [
                {"source": "word", "target": "/run/secrets/word"},
                {"source": "word", "target": "renamed"},
                {"source": "word", "target": "/abs"},
                {"source": "word"},
                {"source": "host"},
            ],
        },
        {
            "configs": {"ini": {"file": f"{COMMIT_PREFIX}app.ini"}, "text": {"content": "a $$ b"}},
            "secrets": {"word": {"environment": "WORD"}, "host": {"file": "/etc/host-secret"}},
        },
        WORD="pa$$",
    )
    targets = [mount["target"] for mount in service["volumes"]]
    assert targets == [
        "/ini",
        "/etc/t",
        "/run/secrets/word",
        "/run/secrets/renamed",
        "/abs",
        "/run/secrets/word",
        "/run/secrets/host",
    ]
    assert all(mount["read_only"] and not mount["bind"]["create_host_path"] for mount in service["volumes"])
    assert set(collector.blobs.values()) == {b"2", b"a $ b", b"pa$$"}
    assert service["volumes"][-1]["source"] == "/etc/host-secret"
    assert "configs" not in service
    assert "secrets" not in service


@pytest.mark.parametrize("key", ["uid", "gid", "mode"])
def test_an_owner_or_mode_of_a_config_is_a_finding(tmp_path: Path, key: str) -> None:
    _, collector = rewritten(
        tmp_path, {"configs": [{"source": "c", key: "0440"}]}, {"configs": {"c": {"content": "x"}}}
    )
    (finding,) = collector.findings
    assert (finding.code, finding.key) == (FindingCode.FILE_MODE_IGNORED, "services.web.configs")


@pytest.mark.parametrize(
    ("service", "sections", "code"),
    [
        ({"image": None}, {}, IMAGE_MISSING),
        ({"image": ""}, {}, IMAGE_MISSING),
        ({"labels": {"stagecraft.project": "other"}}, {}, LABEL_RESERVED),
        ({"security_opt": ["seccomp:/root/.docker/config.json"]}, {}, COMPOSE_PATH_REFUSED),
        ({"security_opt": ["seccomp=./profile.json"]}, {}, COMPOSE_PATH_REFUSED),
        ({"volumes": [{"type": "volume", "target": "d:/d"}]}, {}, VOLUME_AMBIGUOUS),
        ({"volumes": [{"type": "bind", "source": "x:\\y", "target": "/d"}]}, {}, VOLUME_AMBIGUOUS),
        ({"configs": [{"source": "c"}]}, {"configs": {"c": {"external": True}}}, EXTERNAL_UNSUPPORTED),
    ],
)
def test_what_cannot_run_is_refused(
    tmp_path: Path, service: dict[str, Any], sections: dict[str, Any], code: str
) -> None:
    assert refusal(tmp_path, service, sections).code == code


def test_the_label_that_asks_for_a_signal_is_free(tmp_path: Path) -> None:
    service, _ = rewritten(tmp_path, {"labels": {"stagecraft.reload": "SIGHUP"}})
    assert service["labels"] == {"stagecraft.reload": "SIGHUP"}
    assert refusal(tmp_path, {"labels": {"stagecraft.reloads": "SIGHUP"}}).code == LABEL_RESERVED


def test_security_options_that_name_no_file_stay(tmp_path: Path) -> None:
    options = ["seccomp:unconfined", "seccomp=builtin", "no-new-privileges:true", "apparmor:x"]
    service, _ = rewritten(tmp_path, {"security_opt": options})
    assert service["security_opt"] == options


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ({"a": {"b": [1, f"{COMMIT_PREFIX}x"]}}, "a.b[1]"),
        ({"volumes": {"v": {"device": COMMIT_PREFIX}}}, "volumes.v.device"),
    ],
)
def test_a_path_of_the_commit_that_is_left_is_refused(value: dict[str, Any], key: str) -> None:
    with pytest.raises(UserError) as caught:
        refuse_left_paths(value)
    assert (caught.value.code, caught.value.where.key) == (COMPOSE_PATH_UNSUPPORTED, key)


def test_other_values_may_be_left() -> None:
    refuse_left_paths({"a": ["x", None, 1, {"b": "/etc"}]})
