"""`manage.py pingengine` against a real server."""

import asyncio

import pytest
from django.core.management import CommandError, call_command
from temporalio.client import Client
from temporalio.worker import Worker

from workers.options import worker_options
from workers.workflows.diagnostics import PingWorkflow


async def test_pingengine_says_how_long_the_answer_took(
    temporal_client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Worker(
        temporal_client,
        task_queue="diagnostics",
        workflows=[PingWorkflow],
        **worker_options(),
    ):
        await asyncio.to_thread(call_command, "pingengine")
    assert capsys.readouterr().out.startswith("pong after ")


def test_pingengine_fails_when_nobody_serves_the_queue() -> None:
    with pytest.raises(CommandError, match=r"no answer within 0\.5 s"):
        call_command("pingengine", "--timeout", "0.5")
