"""A bridge that answers what no directory says: nothing of it gets any further."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import status_pb2
from grpc_status import rpc_status

from apps.common import correlation
from apps.pix.bridge import channel, limits
from apps.pix.bridge import directory_pb2 as pb
from apps.pix.bridge.client import directory
from apps.pix.bridge.problems import LONGEST_PAUSE, DirectoryRefused, DirectoryUnavailable
from apps.pix.bridge.shapes import MOST_TEXT

NOW = Timestamp(seconds=1_800_000_000)
PROBLEM = "type.googleapis.com/countersign.dict.v1.Problem"


class Liar(grpc.GenericRpcHandler):
    """Answers every call with `says`: bytes, several, or a status to end with."""

    says: Any = b""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    def service(self, handler_call_details: Any) -> Any:
        if handler_call_details.method.endswith("DownloadFile"):
            return grpc.unary_stream_rpc_method_handler(lambda request, context: iter(self.says))
        return grpc.unary_unary_rpc_method_handler(self._answer)

    def _answer(self, request: bytes, context: Any) -> bytes:
        self.heard.append(request)
        if isinstance(self.says, status_pb2.Status):
            context.abort_with_status(rpc_status.to_status(self.says))
        if isinstance(self.says, grpc.StatusCode):
            context.abort(self.says, "no \x00 words")
        said: bytes = self.says
        return said


@pytest.fixture
def liar(settings: Any) -> Iterator[Liar]:
    liar = Liar()
    server = grpc.server(ThreadPoolExecutor(2), handlers=[liar])
    settings.BRIDGE_GRPC_ADDR = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    limits.reset()
    yield liar
    channel.close()
    server.stop(0).wait()


def claim(**other: Any) -> pb.Claim:
    words: dict[str, Any] = {
        "id": "1",
        "type": "OWNERSHIP",
        "key_type": "PHONE",
        "key": "+1",
        "status": "OPEN",
        "claimer_account": pb.Account(participant="12345678", number="1"),
        "modified_at": NOW,
    }
    return pb.Claim(**{**words, **other})


def get_claim() -> Any:
    return directory().claim_get(participant="12345678", claim_id="1")


def refuse(liar: Liar, code: int, **problem: Any) -> None:
    packed = Packed()
    packed.Pack(pb.Problem(**problem))
    liar.says = status_pb2.Status(code=code, message="no", details=[packed])


def test_the_correlation_id_goes_with_every_call(liar: Liar) -> None:
    liar.says = claim().SerializeToString()
    with correlation.correlated("run-7"):
        get_claim()
    heard = pb.GetClaimRequest.FromString(liar.heard[0])
    assert (heard.participant, heard.correlation_id, heard.id) == ("12345678", "run-7", "1")


def test_unknown_words_are_kept_as_they_are(liar: Liar) -> None:
    liar.says = claim(type="GIFT", status="PARKED", cancelled_by="ROBOT").SerializeToString()
    got = get_claim()
    assert (got.type, got.status, got.cancelled_by) == ("GIFT", "PARKED", "ROBOT")


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"\xff\xff\xff not a message",
        claim(id="").SerializeToString(),
        claim(status="").SerializeToString(),
        claim(key="\0").SerializeToString(),
        claim(key="x" * (MOST_TEXT + 1)).SerializeToString(),
        claim(modified_at=None).SerializeToString(),
        claim(modified_at=Timestamp(seconds=10**15)).SerializeToString(),
        claim(modified_at=Timestamp(nanos=-1)).SerializeToString(),
        claim(claimer_account=None).SerializeToString(),
    ],
)
def test_an_answer_that_cannot_be_read_decides_nothing(liar: Liar, wrong: bytes) -> None:
    liar.says = wrong
    with pytest.raises(DirectoryUnavailable) as unreadable:
        get_claim()
    assert unreadable.value.maybe_done


@pytest.mark.parametrize("amount", ["NaN", "-1", "1e999999", "Infinity", "ten", "1" * 16])
def test_what_is_no_amount_is_none_of_a_report(liar: Liar, amount: str) -> None:
    liar.says = pb.Infraction(
        id="1", transaction_id="E1", status="OPEN", modified_at=NOW, amount=amount
    ).SerializeToString()
    with pytest.raises(DirectoryUnavailable):
        directory().infraction_get(participant="12345678", infraction_id="1")


@pytest.mark.parametrize("result", ["", "ok", "MAYBE"])
def test_a_verdict_is_one_or_the_other(liar: Liar, result: str) -> None:
    liar.says = pb.Verification(id="1", result=result).SerializeToString()
    with pytest.raises(DirectoryUnavailable):
        directory().sync_verify(participant="12345678", key_type="PHONE", verifier="0" * 64)


@pytest.mark.parametrize(
    "chunks",
    [
        [pb.Chunk(offset=1, data=b"x")],
        [pb.Chunk(offset=0, data=b"")],
        [pb.Chunk(offset=0, data=b"x"), pb.Chunk(offset=5, data=b"x")],
        [pb.Chunk(offset=0, data=b"x" * (1024 * 1024 + 1))],
    ],
)
def test_a_file_has_no_gaps_and_no_large_chunks(liar: Liar, chunks: list[pb.Chunk]) -> None:
    liar.says = [chunk.SerializeToString() for chunk in chunks]
    with pytest.raises(DirectoryUnavailable):
        list(directory().sync_file_download(participant="12345678", file_id="1"))


def test_who_leaves_a_download_ends_it(liar: Liar) -> None:
    liar.says = (
        pb.Chunk(offset=place, data=b"x").SerializeToString() for place in range(1_000_000)
    )
    for chunk in directory().sync_file_download(participant="12345678", file_id="1"):
        assert chunk.offset == 0
        break


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code.value[0]])
def test_without_the_directorys_own_words_nothing_is_refused(
    liar: Liar, code: grpc.StatusCode
) -> None:
    liar.says = code
    with pytest.raises(DirectoryUnavailable) as away:
        get_claim()
    assert away.value.maybe_done


def test_details_that_are_no_problem_are_passed_over(liar: Liar) -> None:
    for details in ([Packed(type_url=PROBLEM, value=b"\xff\xff")], [Packed(type_url="x/Other")]):
        liar.says = status_pb2.Status(code=3, message="no", details=details)
        with pytest.raises(DirectoryUnavailable):
            get_claim()


def test_an_unknown_problem_is_a_refusal_that_keeps_its_word(liar: Liar) -> None:
    refuse(liar, 9, type="NovelProblem", status=400, detail="Never\nseen\x00 before")
    with pytest.raises(DirectoryRefused) as refused:
        get_claim()
    assert (refused.value.code, refused.value.problem_type) == ("directory_refused", "NovelProblem")
    assert refused.value.detail == "Never seen before"


def test_a_known_word_with_a_status_of_the_servers_is_no_refusal(liar: Liar) -> None:
    refuse(liar, 13, type="EntryAlreadyExists", status=500)
    with pytest.raises(DirectoryUnavailable):
        get_claim()


@pytest.mark.parametrize("wrong", [float("nan"), -1.0, float("inf"), 1e300])
def test_a_pause_is_a_day_at_most(liar: Liar, wrong: float) -> None:
    refuse(liar, 8, type="RateLimited", status=429, retry_after=wrong)
    with pytest.raises(DirectoryUnavailable) as later:
        get_claim()
    pause = later.value.retry_after
    assert pause is None or pause.total_seconds() == LONGEST_PAUSE
