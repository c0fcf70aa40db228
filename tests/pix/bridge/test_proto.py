"""The Python of the .proto files is committed, because the image has no compiler."""

from pathlib import Path

from google.protobuf import descriptor_pb2

from apps.pix.bridge import directory_pb2 as pb
from apps.pix.bridge.buckets import GROUPS
from deploy.local.proto import PROTOS, generate
from deploy.local.stack import ROOT


def test_the_committed_code_is_what_the_compiler_makes_of_the_files(tmp_path: Path) -> None:
    generate(tmp_path)
    made = {path.relative_to(tmp_path): path.read_text() for path in tmp_path.rglob("*.py*")}
    assert len(made) == 3 * len(PROTOS)
    changed = [str(path) for path, text in made.items() if (ROOT / path).read_text() != text]
    assert changed == [], "run make proto"


def methods() -> dict[str, descriptor_pb2.MethodDescriptorProto]:
    return {
        f"{service.name}.{method.name}": method
        for service in pb.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }


def test_every_request_says_who_asks_and_for_what_run() -> None:
    for name, method in methods().items():
        fields = method.input_type.fields_by_name
        assert {"participant", "correlation_id"} <= set(fields), name


def test_what_the_directory_takes_once_carries_a_request_id() -> None:
    with_one = {
        name
        for name, method in methods().items()
        if "request_id" in method.input_type.fields_by_name
    }
    assert with_one == {"Entries.Create", "Claims.Complete"}


def test_every_operation_but_the_bytes_of_a_file_draws_from_a_bucket() -> None:
    assert set(methods()) - set(GROUPS) == {"Sync.DownloadFile"}
    assert set(GROUPS) - set(methods()) == set()
