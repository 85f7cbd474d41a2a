"""Networks, named volumes and makeups, as every engine shows them and takes them away."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from events.kernel.errors import OutsideError
from projections.engine.errors import ENGINE_REFUSED
from projections.engine.port import App
from tests.contract.engines import GONE, Adapter, raised


def with_volume(adapter: Adapter) -> App:
    """A service with a named volume."""
    mount = {"type": "volume", "source": "data", "target": "/data"}
    app = adapter.app(web={"volumes": [mount]})
    return replace(app, document={**app.document, "volumes": {"data": {}}})


def test_networks_and_volumes_of_a_project_are_found_and_go_once_nobody_uses_them(adapter: Adapter) -> None:
    async def run() -> None:
        engine, stock, project = adapter.engine, adapter.stock, adapter.compose_project
        await engine.up(with_volume(adapter), ["web"])
        volume = f"{project}_data"
        assert (await adapter.only()).volumes == (volume,)
        assert await stock.volumes(project) == (volume,)
        networks = await stock.networks(project)
        assert list(networks.values()) == [f"{project}_default"]
        assert await stock.networks(f"{project}-not") == {}
        assert (await raised(OutsideError, stock.remove_volume(volume))).code == ENGINE_REFUSED
        (network,) = networks
        assert (await raised(OutsideError, stock.remove_network(network))).code == ENGINE_REFUSED
        await engine.remove((await adapter.only()).id)
        assert await stock.volumes(project) == (volume,), "a container takes no named volume along"
        for _ in range(2):
            await stock.remove_network(network)
            await stock.remove_volume(volume)
        assert (await stock.networks(project), await stock.volumes(project)) == ({}, ())

    asyncio.run(run())


def test_an_image_goes_with_its_last_name_and_never_under_a_container(adapter: Adapter) -> None:
    names = [f"stagecraft.local/{adapter.compose_project}/web:{digits * 8}" for digits in ("1a", "2b")]

    async def run() -> None:
        engine, stock = adapter.engine, adapter.stock
        for name in names:
            await engine.tag(adapter.steady_id, name)
        held = await stock.image_names()
        assert {name: held.get(name) for name in names} == dict.fromkeys(names, adapter.steady_id)
        assert adapter.steady not in held
        await stock.forget_image(names[0])
        await stock.forget_image(names[0])
        assert names[0] not in await stock.image_names()
        assert await engine.image(names[0]) is None
        assert await engine.image(names[1]) is not None
        await engine.up(adapter.app(web={"image": names[1]}), ["web"])
        await stock.forget_image(names[1])
        assert await engine.image(adapter.steady) is not None, "somebody else has a tag of it"
        assert (await adapter.only()).image_id == adapter.steady_id

    asyncio.run(run())


def test_a_makeup_tells_what_a_container_was_made_with(adapter: Adapter) -> None:
    async def run() -> None:
        port = {"target": 8080, "published": "18080", "host_ip": "127.0.0.1", "protocol": "tcp"}
        await adapter.engine.up(adapter.app(web={"ports": [port], "restart": "always"}), ["web"])
        made = await adapter.engine.makeup((await adapter.only()).id)
        assert made is not None
        assert made.image_text == adapter.steady
        assert made.fields["image"] == adapter.steady_id
        assert made.fields["restart"] == "always"
        assert list(made.fields["networks"]) == [f"{adapter.compose_project}_default"]
        assert made.fields["hostname"] == ""
        assert await adapter.engine.makeup(GONE) is None

    asyncio.run(run())


def test_an_images_defaults_are_known_by_tag_and_id(adapter: Adapter) -> None:
    async def run() -> None:
        found = await adapter.engine.image_defaults(adapter.steady)
        assert found is not None
        assert found.id == adapter.steady_id
        assert await adapter.engine.image_defaults(adapter.steady_id) == found
        assert await adapter.engine.image_defaults(adapter.absent) is None

    asyncio.run(run())
