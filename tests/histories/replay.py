"""Replays a recorded history against the code of today, sandbox and converter as in production.

A history stands in `tests/histories/<WorkflowType>/<case>.json`, made by
`python -m tests.histories.record`. One that stops replaying means that workflows which are open
during a deployment would stop too: gate the change with `workflow.patched`, never re-record.
"""

import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from workers.options import worker_options
from workers.registry import QUEUES

FOLDER = Path(__file__).parent


def recorded() -> list[Path]:
    """Every recorded history."""
    return sorted(FOLDER.glob("*/*.json"))


def registered() -> list[type]:
    """Every registered workflow, once."""
    return list(dict.fromkeys(w for spec in QUEUES.values() for w in spec.workflows))


def read(path: Path) -> WorkflowHistory:
    """The history in `path`; its workflow id is not part of what is compared."""
    return WorkflowHistory.from_json(f"replayed-{path.stem}", path.read_text())


async def replay(history: WorkflowHistory, workflows: Sequence[type]) -> Exception | None:
    """None when the code makes the same commands; otherwise why it does not."""
    replayer = Replayer(
        workflows=workflows,
        data_converter=pydantic_data_converter,
        # A long history on a busy machine takes more than the two seconds after which the SDK
        # takes a workflow for one that hangs.
        debug_mode=True,
        **worker_options(),
    )
    result = await replayer.replay_workflow(history, raise_on_replay_failure=False)
    return result.replay_failure


def mutated(module: ModuleType, folder: Path, *changes: tuple[str, str]) -> ModuleType:
    """A copy of a workflow module with these texts exchanged, importable from `folder`.

    Each change is (this, that): both occur once in the source, and they change places. Put
    `folder` away from anything else that is imported: it joins sys.path.
    """
    source = Path(module.__file__ or "").read_text()
    for this, that in changes:
        this, that = textwrap.dedent(this), textwrap.dedent(that)
        assert source.count(this) == 1, f"not exactly once: {this!r}"
        assert source.count(that) == 1, f"not exactly once: {that!r}"
        source = source.replace(this, "\0").replace(that, this).replace("\0", that)
    name = f"mutated_{module.__name__.replace('.', '_')}_{folder.name.replace('-', '_')}"
    (folder / f"{name}.py").write_text(source)
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    return __import__(name)
