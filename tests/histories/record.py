"""`python -m tests.histories.record --address 127.0.0.1:7233 --workflow-id ID --case NAME`

Writes the history of a run to `tests/histories/<WorkflowType>/<NAME>.json`. Record one for every
way a workflow can end, once per release; a recorded case is never overwritten.
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from temporalio.client import Client

FOLDER = Path(__file__).parent
#: What replay does not compare, and what would tell where it was recorded.
HIDDEN = {"identity": "recorded", "stackTrace": "not recorded"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", default="127.0.0.1:7233")
    parser.add_argument("--namespace", default="default")
    parser.add_argument("--workflow-id", required=True)
    parser.add_argument("--run-id")
    parser.add_argument("--case", required=True, help="File name without .json")
    options = parser.parse_args()
    path = asyncio.run(
        record(
            address=options.address,
            namespace=options.namespace,
            workflow_id=options.workflow_id,
            run_id=options.run_id,
            case=options.case,
        )
    )
    sys.stdout.write(f"{path}\n")


async def record(
    *,
    address: str,
    namespace: str,
    workflow_id: str,
    case: str,
    run_id: str | None = None,
    folder: Path = FOLDER,
) -> Path:
    """Fetch and write; FileExistsError when the case is there. Returns the file."""
    client = await Client.connect(address, namespace=namespace)
    history = await client.get_workflow_handle(workflow_id, run_id=run_id).fetch_history()
    document = json.loads(history.to_json())
    started = document["events"][0]["workflowExecutionStartedEventAttributes"]
    path = folder / started["workflowType"]["name"] / f"{case}.json"
    path.parent.mkdir(exist_ok=True)
    with path.open("x") as file:
        json.dump(scrubbed(document), file, indent=1)
        file.write("\n")
    return path


def scrubbed(part: Any) -> Any:
    """Without the names of the machines, processes and folders that took part."""
    if isinstance(part, dict):
        if part.get("kind") == "TASK_QUEUE_KIND_STICKY":
            # A worker's own queue is named after its host.
            return {**part, "name": "recorded"}
        hidden = {"identity": "recorded", "stackTrace": "not recorded"}
        return {key: hidden.get(key) or scrubbed(value) for key, value in part.items()}
    return [scrubbed(item) for item in part] if isinstance(part, list) else part


if __name__ == "__main__":
    main()
