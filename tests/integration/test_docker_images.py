"""Images: looked up or pulled once for all who wait, and one sentence where that fails."""

from __future__ import annotations

import asyncio
import socket

import pytest

from clnrm_nb.errors import ClnrmError
from clnrm_nb.executor.backends.docker.engine import Engine
from clnrm_nb.executor.backends.docker.images import Images

pytestmark = pytest.mark.docker


@pytest.fixture
async def connected(engine):
    """A connection to the session's engine."""
    connected = await Engine.connect(engine.url)
    yield connected
    connected.close()


@pytest.fixture
def dead_registry():
    """`host:port` of this machine where no registry listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture
async def silent_registry():
    """A registry that takes connections and never answers."""

    async def keep(reader, writer):
        await reader.read()
        writer.close()

    server = await asyncio.start_server(keep, "127.0.0.1", 0)
    yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


async def test_image_on_this_machine_is_not_pulled(connected, volume_image):
    images = Images(connected, "if-not-present")

    image = await images.ensure(volume_image)

    assert image.id.startswith("sha256:")
    assert (image.stop_signal, image.volumes) == ("SIGINT", ("/data",))


async def test_missing_image_is_never_pulled_where_the_policy_says_so(connected, dead_registry):
    with pytest.raises(ClnrmError) as missing:
        await Images(connected, "never").ensure(f"{dead_registry}/x:1")

    assert missing.value.code == "CLN602"
    assert missing.value.message == (
        f'cannot pull `{dead_registry}/x:1`: it is not on this machine, and `pull_policy` is "never"'
    )


async def test_registry_that_cannot_be_reached_is_one_sentence(connected, dead_registry):
    with pytest.raises(ClnrmError) as missing:
        await Images(connected, "if-not-present").ensure(f"{dead_registry}/x:1")

    assert missing.value.message == f"cannot pull `{dead_registry}/x:1`: the registry cannot be reached"


async def test_always_means_that_a_present_image_is_pulled_too(
    connected, engine, busybox_image, dead_registry
):
    name = f"{dead_registry}/present:1"
    engine.client.tag(busybox_image, f"{dead_registry}/present", "1")
    try:
        with pytest.raises(ClnrmError) as refused:
            await Images(connected, "always").ensure(name)
    finally:
        engine.client.remove_image(name)

    assert refused.value.code == "CLN602"


async def test_everyone_who_waits_for_an_image_gets_the_same_answer(connected, dead_registry, monkeypatch):
    images = Images(connected, "if-not-present")
    pulls = []
    load = images._load
    monkeypatch.setattr(images, "_load", lambda name: (pulls.append(name), load(name))[1])

    answers = await asyncio.gather(
        *(images.ensure(f"{dead_registry}/x:1") for _ in range(5)), return_exceptions=True
    )

    assert [each.code for each in answers] == ["CLN602"] * 5
    assert len(pulls) == 1


async def test_cancelled_wait_for_a_pull_ends_at_once(connected, silent_registry):
    images = Images(connected, "if-not-present")
    waiting = asyncio.ensure_future(images.ensure(f"{silent_registry}/x:1"))
    await asyncio.sleep(0)

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(10):  # The registry never answers.
            await waiting
    images.close()
