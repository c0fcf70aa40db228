"""Valkey goes away and comes back; the page that stayed open keeps changing."""

from pathlib import Path

import pytest
from channels.layers import channel_layers
from django.test import override_settings

from deploy.local.processes import free_port
from deploy.local.servers import Valkey
from tests.approvals.world import person
from tests.live.sockets import made, page, say
from tests.live.test_broadcast import layer_settings
from tests.support import eventually_async

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("pause", [0.0, 4.0])
async def test_a_subscription_works_again_after_the_server_was_killed(pause, folder: Path):
    valkey = Valkey(
        data=folder / "valkey",
        port=free_port(),
        run_dir=folder / "run",
        log=folder / "valkey.log",
        durable=False,
    )
    valkey.start()
    user = await made(person, "reviewer", "first")
    with override_settings(CHANNEL_LAYERS=layer_settings(valkey.url)):
        channel_layers.backends.clear()
        async with page(user, "inbox,home") as it:
            assert await it.frame() == {"topic": "hello"}
            say("inbox", "before")
            assert (await it.frame())["id"] == "before"

            valkey.kill()
            if pause:
                # Longer than the client's own retries: its receiver has to start over by itself.
                assert await it.receive_nothing(timeout=pause)
            valkey.start()
            # The page is told to look again: what was said in between is lost.
            assert await it.frame(timeout=15) == {"topic": "hello"}

            async def arrives() -> bool:
                say("inbox", "after")
                frame = await it.frame(timeout=2)
                return frame.get("id") == "after"

            assert await eventually_async(arrives, timeout=15)
        valkey.kill()
