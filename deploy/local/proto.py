"""`make proto`: the Python of every .proto file, beside it. It is committed, because the image has
no compiler; a test makes it again and compares.
"""

from importlib.resources import files
from pathlib import Path

from deploy.local.stack import ROOT

PROTOS = ("apps/pix/bridge/directory.proto", "apps/simulators/directory/control.proto")


def generate(target: Path) -> None:
    """Write the modules below `target`, as they stand below the project. Raises RuntimeError when
    a file does not compile; what is wrong is on the standard error then."""
    # Needed here only, and not installed where the program runs.
    from grpc_tools import protoc

    words = [
        *("protoc", f"-I{ROOT}", f"-I{files('grpc_tools') / '_proto'}"),
        *(f"--{kind}_out={target}" for kind in ("python", "pyi", "grpc_python")),
        *PROTOS,
    ]
    if protoc.main(words):
        raise RuntimeError("protoc refuses the files")


if __name__ == "__main__":
    generate(ROOT)
