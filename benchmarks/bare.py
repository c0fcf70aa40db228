"""The references: workflows with activities that do nothing, on a worker that is as plain as it can
be. Run as a process: `python -m benchmarks.bare`.
"""

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

QUEUE = "bare"
IN_FLIGHT = 20


@activity.defn
def nothing(step: int) -> int:
    """What a step costs that does nothing."""
    return step


@workflow.defn(sandboxed=False)
class BareSaga:
    """As many remote activities, one after the other."""

    @workflow.run
    async def run(self, steps: int) -> int:
        for number in range(steps):
            await workflow.execute_activity(
                nothing, number, start_to_close_timeout=timedelta(seconds=30)
            )
        return steps


@workflow.defn(sandboxed=False)
class BareSteps:
    """As many local activities, one after the other, or remote ones, all at once."""

    @workflow.run
    async def run(self, steps: int, local: bool) -> int:
        limit = timedelta(seconds=60)
        if local:
            for number in range(steps):
                await workflow.execute_local_activity(nothing, number, start_to_close_timeout=limit)
            return steps
        all_of_them = (
            workflow.execute_activity(nothing, number, start_to_close_timeout=limit)
            for number in range(steps)
        )
        await asyncio.gather(*all_of_them)
        return steps


async def serve() -> None:
    """Serve until the process is killed; as many threads as the product's worker has."""
    client = await Client.connect(os.environ["TEMPORAL_ADDRESS"])
    threads = int(os.environ.get("WORKER_THREADS", "16"))
    with ThreadPoolExecutor(threads) as pool:
        await Worker(
            client,
            task_queue=QUEUE,
            workflows=[BareSaga, BareSteps],
            activities=[nothing],
            activity_executor=pool,
            max_concurrent_activities=threads,
        ).run()


async def throughput(client: Client, *, sagas: int, steps: int, name: str) -> float:
    """Sagas a second, from the first start to the last end."""
    gate = asyncio.Semaphore(IN_FLIGHT)

    async def one(number: int) -> None:
        async with gate:
            handle = await client.start_workflow(
                BareSaga.run, steps, id=f"{name}-{number}", task_queue=QUEUE
            )
        await handle.result()

    began = time.perf_counter()
    await asyncio.gather(*(one(number) for number in range(sagas)))
    return sagas / (time.perf_counter() - began)


async def many_steps(
    client: Client, *, runs: int, steps: int, local: bool, in_flight: int, name: str
) -> float:
    """Workflows of many steps a second, so many open at once."""
    gate = asyncio.Semaphore(in_flight)

    async def one(number: int) -> None:
        async with gate:
            await client.execute_workflow(
                BareSteps.run, args=[steps, local], id=f"{name}-{number}", task_queue=QUEUE
            )

    began = time.perf_counter()
    await asyncio.gather(*(one(number) for number in range(runs)))
    return runs / (time.perf_counter() - began)


async def latency(client: Client, *, name: str) -> float:
    """Milliseconds of one workflow with one activity, from the call to its result."""
    began = time.perf_counter()
    await client.execute_workflow(BareSaga.run, 1, id=name, task_queue=QUEUE)
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    asyncio.run(serve())
