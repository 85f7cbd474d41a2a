"""Submodules of a watched repository, brought from real Git servers and from paths."""

from __future__ import annotations

import asyncio
import base64
import shutil
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from events.kernel.errors import StagecraftError, UserError
from gitops.manifest import Draft, draft
from gitops.remotes import parse_prefix
from gitops.source.git import Repository as OpenRepository
from gitops.source.pinned import PinnedCommits
from gitops.source.submodules import Submodules, Superproject
from tests.integration.gitops.githost import GitHost, serving
from tests.support.modules import with_submodules
from tests.support.repos import Repository, git

WORD = "s3cret-t0ken-of-somebody"
PROJECT = "project: {name: shop}\nenvironments: {prod: {}}\n"


@dataclass(kw_only=True)
class _Shop:
    """A project and a library beside it."""

    folder: Path
    shop: Repository
    lib: Repository
    url: str  # of the project, as it is watched
    allowed: list[str] = field(default_factory=list[str])

    def commit(self, url: str, commit: str | None = None, *, compose: str = "./lib/nginx.conf:/c:ro") -> str:
        """A service that mounts something of the submodule `lib`."""
        services = f"services: {{web: {{image: 'web:1', volumes: ['{compose}']}}}}\n"
        self.shop.write({"stagecraft.yml": PROJECT, "compose.yaml": services, "own": "1"})
        return with_submodules(self.shop, {"lib": (url, commit or self.lib.head())})

    def drafted(self, revision: str = "HEAD", *, brought: bool = True) -> Draft:
        """The Draft of a commit."""

        async def made() -> Draft:
            with (
                OpenRepository(self.shop.work) as opened,
                PinnedCommits(self.folder / "modules") as commits,
            ):
                tree = opened.tree(opened.resolve(revision).revision)
                allowed = tuple(map(parse_prefix, self.allowed))
                modules = Submodules(parent=Superproject(url=self.url), commits=commits, allowed=allowed)
                whole = await modules.into(tree) if brought else tree
                return await draft(whole, environment="prod", version="v1")

        return asyncio.run(made())

    def refused(self, *, brought: bool = True) -> StagecraftError:
        with pytest.raises(StagecraftError) as caught:
            self.drafted(brought=brought)
        return caught.value

    def kept(self) -> list[str]:
        folder = self.folder / "modules"
        return sorted(one.name for one in folder.iterdir()) if folder.exists() else []


def _made(folder: Path, url: str) -> _Shop:
    shop, lib = Repository.create(folder / "org/shop"), Repository.create(folder / "org/lib")
    lib.commit({"nginx.conf": "worker 1;", "sub/deep": "x"})
    return _Shop(folder=folder, shop=shop, lib=lib, url=url)


@pytest.fixture
def by_path(tmp_path: Path) -> _Shop:
    """Watched by its path, `…/shop.git`, with `…/lib.git` beside it."""
    made = _made(tmp_path, str(tmp_path / "org/shop.git"))
    made.url = str(made.shop.origin)
    return made


@dataclass(kw_only=True)
class _Served:
    made: _Shop
    host: GitHost
    port: int

    def address(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/org/{name}/origin.git"


@pytest.fixture
def served(tmp_path: Path) -> Generator[_Served]:
    """Watched over HTTP by somebody with a password."""
    host = GitHost(root=tmp_path, user="robot", word=WORD)
    with serving(host) as port:
        url = f"http://robot:{WORD}@127.0.0.1:{port}/org/shop/origin.git"
        yield _Served(made=_made(tmp_path, url), host=host, port=port)


def content(made: Draft) -> set[bytes]:
    return set(made.blobs.values())


def test_without_leave_it_is_told_where_and_how_to_get_it(by_path: _Shop) -> None:
    by_path.commit("../lib.git")
    error = by_path.refused(brought=False)
    assert error.code == "path-is-submodule"
    assert "lib" in str(error.where)
    assert "submodules: true" in error.next


def test_a_relative_address_starts_at_the_repositorys_own(served: _Served) -> None:
    shop = served.made
    shop.commit("../../lib/origin.git")
    assert content(shop.drafted()) == {b"worker 1;"}
    assert any("/org/lib/origin.git" in one for one in served.host.requests)


def test_the_pinned_commit_counts_and_needs_nobody_once_it_is_here(served: _Served) -> None:
    shop, pinned = served.made, served.made.lib.head()
    shop.lib.commit({"nginx.conf": "worker 2;"})
    shop.commit(served.address("lib"), pinned)
    assert content(shop.drafted()) == {b"worker 1;"}
    asked = len(served.host.requests)
    shutil.rmtree(shop.lib.origin)
    assert content(shop.drafted()) == {b"worker 1;"}
    assert len(served.host.requests) == asked


def test_the_password_goes_to_the_repositorys_own_server_and_to_no_other(
    served: _Served, tmp_path: Path
) -> None:
    shop = served.made
    shop.commit(served.address("lib"))
    shop.drafted()
    given = base64.b64encode(f"robot:{WORD}".encode()).decode()
    assert f"Basic {given}" in served.host.authorizations
    other = GitHost(root=tmp_path / "org", user="robot", word=WORD)
    shutil.rmtree(tmp_path / "modules")
    with serving(other) as port:
        url = f"http://127.0.0.1:{port}/lib/origin.git"
        shop.commit(url)
        assert shop.refused().code == "submodule-refused"
        assert other.requests == []
        shop.allowed = [f"http://127.0.0.1:{port}/lib"]
        assert shop.refused().code == "git-unreachable"
    assert other.authorizations == {""}


def test_an_address_that_policy_allows_is_taken_from_anywhere(served: _Served, tmp_path: Path) -> None:
    with serving(GitHost(root=tmp_path / "org")) as port:
        served.made.commit(f"http://127.0.0.1:{port}/lib/origin.git")
        served.made.allowed = [f"http://127.0.0.1:{port}/lib"]
        assert content(served.made.drafted()) == {b"worker 1;"}


def test_a_repository_beside_one_of_this_machine_is_taken(by_path: _Shop) -> None:
    nested = Repository.create(by_path.shop.origin.parent / "beside")
    nested.commit({"nginx.conf": "beside"})
    by_path.commit("../beside/origin.git", nested.head())
    assert content(by_path.drafted()) == {b"beside"}


@pytest.mark.parametrize(
    "url",
    [
        *("../../lib/origin.git", "../../../../../../etc", "..", "../"),
        *("{lib}", "file://{lib}", "lib", "-x", "--upload-pack=touch /tmp/x", "ext::sh -c true"),
        *(
            "http://127.0.0.1:9/lib.git",
            "https://git.example.org/x y.git",
            "https://u:s3cret@h.example.org/x",
        ),
        *("git://h.example.org/x.git", "", "../lib\r.git"),
    ],
)
def test_other_addresses_are_refused_for_a_repository_of_this_machine(by_path: _Shop, url: str) -> None:
    by_path.commit(url.format(lib=by_path.lib.origin))
    error = by_path.refused()
    assert error.code == {
        "": "path-is-submodule",  # without an address there is no entry
        "-x": "repository-url-refused",
        "--upload-pack=touch /tmp/x": "repository-url-refused",
        "../lib\r.git": "repository-url-refused",
    }.get(url, "submodule-refused")
    assert by_path.kept() == []
    assert "s3cret" not in str(error)


@pytest.mark.parametrize("url", ["../../../../../x.git", "https://127.0.0.1/org/lib.git", "../../.."])
def test_an_address_above_the_server_or_by_another_scheme_is_refused(served: _Served, url: str) -> None:
    served.made.commit(url)
    assert served.made.refused().code == "submodule-refused"


def test_a_commit_that_is_not_there_is_told_with_the_submodule(served: _Served) -> None:
    served.made.commit(served.address("lib"), "1" * 40)
    error = served.made.refused()
    assert error.code == "revision-missing"
    assert "submodule lib: " in error.message
    assert WORD not in str(error)


def test_one_that_cannot_be_brought_harms_nobody_who_does_not_need_it(served: _Served) -> None:
    served.made.commit(served.address("gone"), compose="./own:/c:ro")
    assert content(served.made.drafted()) == {b"1"}


def test_whatever_a_render_needs_may_be_in_a_submodule(served: _Served) -> None:
    shop = served.made
    shop.lib.commit(
        {
            "app.yaml": "services: {api: {build: {context: app}, env_file: api.env}}\n",
            "api.env": "A=1\n",
            "app/Dockerfile": "FROM scratch\nCOPY f /f\n",
            "app/f": "1",
        }
    )
    shop.shop.write({"stagecraft.yml": PROJECT, "compose.yaml": "include: [lib/app.yaml]\n"})
    first = with_submodules(shop.shop, {"lib": (served.address("lib"), shop.lib.head())})
    made = shop.drafted()
    assert made.builds["api"].ref.startswith("stagecraft.local/shop/api:")
    assert [file.name for file in made.builds["api"].files] == ["Dockerfile", "f"]
    assert made.inputs["lib"] == f"{shop.lib.head()}:submodule"
    assert not [path for path in made.inputs if path.startswith("lib/")]
    shop.lib.commit({"app/f": "2"})
    with_submodules(shop.shop, {"lib": (served.address("lib"), shop.lib.head())})
    assert shop.drafted().builds["api"].ref != made.builds["api"].ref
    assert shop.drafted(first).render_key == made.render_key


def test_a_whole_commit_as_context_has_its_submodules_in_it(served: _Served) -> None:
    shop = served.made
    shop.shop.write({"compose.yaml": "services: {api: {build: .}}\n", "Dockerfile": "FROM scratch\n"})
    shop.shop.write({"stagecraft.yml": PROJECT})
    with_submodules(shop.shop, {"lib": (served.address("lib"), shop.lib.head())})
    names = [file.name for file in shop.drafted().builds["api"].files]
    assert {"Dockerfile", "lib/nginx.conf", "lib/sub/deep"} <= set(names)
    shutil.rmtree(shop.folder / "modules")
    error = shop.refused(brought=False)
    assert (error.code, str(error.where)) == ("path-is-submodule", "lib")


def test_a_build_whose_context_is_a_submodule_is_told_so(by_path: _Shop) -> None:
    by_path.commit("../lib.git")
    by_path.shop.commit({"compose.yaml": "services: {api: {build: lib}}\n"})
    assert by_path.refused(brought=False).code == "path-is-submodule"


def test_a_submodule_of_a_submodule_is_not_read(served: _Served) -> None:
    shop = served.made
    with_submodules(shop.lib, {"inner": ("../x.git", "1" * 40)})
    shop.commit(served.address("lib"), compose="./lib/inner/f:/c:ro")
    assert shop.refused().code == "path-is-submodule"
    shop.commit(served.address("lib"), compose="./lib:/c:ro")
    error = shop.refused()
    assert error.code == "path-is-submodule"
    assert "lib/inner is a submodule of the submodule lib" in error.message


def test_a_link_in_a_submodule_is_refused_as_anywhere(served: _Served) -> None:
    (served.made.lib.work / "evil").symlink_to("/etc/passwd")
    served.made.lib.commit({})
    served.made.commit(served.address("lib"), compose="./lib/evil:/c:ro")
    error = served.made.refused()
    assert error.code == "path-is-link"


def test_a_list_that_git_cannot_read_is_an_error(by_path: _Shop) -> None:
    by_path.commit("../lib.git")
    by_path.shop.commit({".gitmodules": "[submodule\n"})
    assert by_path.refused().code == "submodules-unreadable"


def test_too_many_are_refused_before_anything_is_fetched(by_path: _Shop) -> None:
    modules = {f"m{number}": ("../lib.git", by_path.lib.head()) for number in range(21)}
    by_path.shop.write({"stagecraft.yml": PROJECT, "compose.yaml": "services: {}\n"})
    with_submodules(by_path.shop, modules)
    assert by_path.refused().code == "submodules-unreadable"
    assert by_path.kept() == []


@pytest.mark.parametrize("path", ["../out", "/etc", "a/../../b"])
def test_a_path_that_leads_out_of_the_repository_is_refused(by_path: _Shop, path: str) -> None:
    by_path.commit("../lib.git")
    by_path.shop.commit({".gitmodules": f'[submodule "x"]\n\tpath = {path}\n\turl = ../lib.git\n'})
    error = by_path.refused()
    assert (error.code, type(error)) == ("path-escapes", UserError)


def test_a_file_in_lfs_is_never_taken_for_the_file(by_path: _Shop) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 123\n"
    by_path.shop.commit(
        {
            "stagecraft.yml": PROJECT,
            "model.bin": pointer,
            "compose.yaml": "services: {web: {image: 'web:1', volumes: ['./model.bin:/m:ro']}}\n",
        }
    )
    error = by_path.refused()
    assert (error.code, str(error.where)) == ("lfs-pointer", "model.bin")
    assert "model.bin is a pointer of Git LFS" in error.message
    git("mv", "model.bin", "other.bin", cwd=by_path.shop.work)
    by_path.shop.commit({"compose.yaml": "services: {web: {image: 'web:1'}}\n"})
    by_path.drafted()
