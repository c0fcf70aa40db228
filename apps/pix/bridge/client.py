"""The one client of the directory's bridge.

`directory()` returns it; threads may share it. Every method asks for `participant` (the ISPB that
asks) and takes `within`, the seconds that the answer may take if fewer than BRIDGE_GRPC_TIMEOUT:
25 at most in an activity. Each raises

- DirectoryRefused with a code of `problems.CODES`: the directory says no;
- DirectoryUnavailable: no answer that decides anything, or a bucket that is empty. `maybe_done`
  says whether a write may have been done all the same.

Nothing is sent twice here: who calls decides that. With a `request_id` the same call may be sent
again; without one (claims, infractions, files, verifications) it is looked up first.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from apps.common import correlation
from apps.pix.bridge import calls, channel, problems, shapes
from apps.pix.bridge import directory_pb2 as pb
from apps.pix.bridge import directory_pb2_grpc as services
from apps.pix.bridge.shapes import (
    CidEntry,
    CidEventsPage,
    ClaimsPage,
    CompletedClaim,
    DirectoryAccount,
    DirectoryClaim,
    DirectoryEntry,
    DirectoryInfraction,
    DirectoryOwner,
    InfractionsPage,
    SyncChunk,
    SyncFile,
    SyncVerification,
)

#: The largest chunk of a file.
CHUNK_BYTES = 1024 * 1024


class Directory:
    """The directory behind BRIDGE_GRPC_ADDR; see the module."""

    # --- entries --------------------------------------------------------------------------------
    def entry_create(
        self,
        *,
        participant: str,
        request_id: str,
        key_type: str,
        key: str,
        account: DirectoryAccount,
        owner: DirectoryOwner,
        reason: str,
        within: float | None = None,
    ) -> DirectoryEntry:
        """Register a key. Without a `key` (EVP) the directory makes one; the same `request_id`
        with the same entry is answered with that entry."""
        request = pb.CreateEntryRequest(
            request_id=request_id,
            key_type=key_type,
            key=key,
            account=shapes.account_message(account),
            owner=shapes.owner_message(owner),
            reason=reason,
        )
        return self._entries("Create", request, participant, shapes.entry_of, within)

    def entry_get(
        self, *, participant: str, key: str, within: float | None = None
    ) -> DirectoryEntry:
        """Look a key up; DirectoryRefused `directory_not_found` when there is none."""
        request = pb.GetEntryRequest(key=key)
        return self._entries("Get", request, participant, shapes.entry_of, within)

    def entry_update(
        self,
        *,
        participant: str,
        key: str,
        account: DirectoryAccount,
        name: str,
        trade_name: str,
        reason: str,
        within: float | None = None,
    ) -> DirectoryEntry:
        """Replace account, name and trade name. The same update again changes nothing."""
        request = pb.UpdateEntryRequest(
            key=key,
            account=shapes.account_message(account),
            name=name,
            trade_name=trade_name,
            reason=reason,
        )
        return self._entries("Update", request, participant, shapes.entry_of, within)

    def entry_delete(
        self, *, participant: str, key: str, reason: str, within: float | None = None
    ) -> None:
        """Remove a key; DirectoryRefused `directory_not_found` when it is gone already."""
        request = pb.DeleteEntryRequest(key=key, reason=reason)
        self._entries("Delete", request, participant, lambda answer: None, within)

    # --- claims ---------------------------------------------------------------------------------
    def claim_create(
        self,
        *,
        participant: str,
        type: str,
        key_type: str,
        key: str,
        claimer_account: DirectoryAccount,
        claimer: DirectoryOwner,
        within: float | None = None,
    ) -> DirectoryClaim:
        """Open a claim. It has no request id: list the claimer's claims before it is sent again."""
        request = pb.CreateClaimRequest(
            type=type,
            key_type=key_type,
            key=key,
            claimer_account=shapes.account_message(claimer_account),
            claimer=shapes.owner_message(claimer),
        )
        return self._claims("Create", request, participant, shapes.claim_of, within)

    def claim_get(
        self, *, participant: str, claim_id: str, within: float | None = None
    ) -> DirectoryClaim:
        """Read a claim by the directory's id."""
        request = pb.GetClaimRequest(id=claim_id)
        return self._claims("Get", request, participant, shapes.claim_of, within)

    def claims_list(
        self,
        *,
        participant: str,
        modified_from: datetime,
        modified_to: datetime | None = None,
        role: str = "",
        statuses: Sequence[str] = (),
        limit: int = 0,
        within: float | None = None,
    ) -> ClaimsPage:
        """List claims by the time of their last change, both ends included. `role`: DONOR or
        CLAIMER; without one the bucket is smaller. `limit`: 200 at most."""
        request = pb.ListClaimsRequest(
            role=role,
            statuses=shapes.statuses_message(statuses),
            modified_from=modified_from,
            modified_to=modified_to,
            limit=limit,
        )
        return self._claims("List", request, participant, shapes.claims_of, within)

    def claim_acknowledge(
        self, *, participant: str, claim_id: str, within: float | None = None
    ) -> DirectoryClaim:
        """The donor knows of it. Once more changes nothing."""
        request = pb.AcknowledgeClaimRequest(id=claim_id)
        return self._claims("Acknowledge", request, participant, shapes.claim_of, within)

    def claim_confirm(
        self, *, participant: str, claim_id: str, reason: str, within: float | None = None
    ) -> DirectoryClaim:
        """The donor gives the key: his entry is removed."""
        request = pb.ConfirmClaimRequest(id=claim_id, reason=reason)
        return self._claims("Confirm", request, participant, shapes.claim_of, within)

    def claim_cancel(
        self, *, participant: str, claim_id: str, reason: str, within: float | None = None
    ) -> DirectoryClaim:
        """Either side ends it; with one participant on both sides the directory cannot tell
        which."""
        request = pb.CancelClaimRequest(id=claim_id, reason=reason)
        return self._claims("Cancel", request, participant, shapes.claim_of, within)

    def claim_complete(
        self, *, participant: str, claim_id: str, request_id: str, within: float | None = None
    ) -> CompletedClaim:
        """The claimer takes the key. `request_id` becomes the one of the new entry's CID."""
        request = pb.CompleteClaimRequest(id=claim_id, request_id=request_id)
        return self._claims("Complete", request, participant, shapes.completed_of, within)

    # --- infractions ----------------------------------------------------------------------------
    def infraction_create(
        self,
        *,
        participant: str,
        transaction_id: str,
        reason: str,
        situation_type: str,
        details: str = "",
        contact_email: str = "",
        contact_phone: str = "",
        within: float | None = None,
    ) -> DirectoryInfraction:
        """Report an infraction. It has no request id: list the reporter's before it is sent
        again."""
        request = pb.CreateInfractionRequest(
            transaction_id=transaction_id,
            reason=reason,
            situation_type=situation_type,
            details=details,
            contact_email=contact_email,
            contact_phone=contact_phone,
        )
        return self._infractions("Create", request, participant, shapes.infraction_of, within)

    def infraction_get(
        self, *, participant: str, infraction_id: str, within: float | None = None
    ) -> DirectoryInfraction:
        """Read a report by the directory's id."""
        request = pb.GetInfractionRequest(id=infraction_id)
        return self._infractions("Get", request, participant, shapes.infraction_of, within)

    def infractions_list(
        self,
        *,
        participant: str,
        modified_from: datetime,
        modified_to: datetime | None = None,
        role: str = "",
        statuses: Sequence[str] = (),
        limit: int = 0,
        within: float | None = None,
    ) -> InfractionsPage:
        """As `claims_list`. `role`: REPORTER or COUNTERPARTY."""
        request = pb.ListInfractionsRequest(
            role=role,
            statuses=shapes.statuses_message(statuses),
            modified_from=modified_from,
            modified_to=modified_to,
            limit=limit,
        )
        return self._infractions("List", request, participant, shapes.infractions_of, within)

    def infraction_acknowledge(
        self, *, participant: str, infraction_id: str, within: float | None = None
    ) -> DirectoryInfraction:
        """The counterparty knows of it. Once more changes nothing."""
        request = pb.AcknowledgeInfractionRequest(id=infraction_id)
        return self._infractions("Acknowledge", request, participant, shapes.infraction_of, within)

    def infraction_close(
        self,
        *,
        participant: str,
        infraction_id: str,
        analysis_result: str,
        fraud_type: str = "",
        analysis_details: str = "",
        within: float | None = None,
    ) -> DirectoryInfraction:
        """The counterparty answers. AGREED needs a `fraud_type`; OTHER needs details."""
        request = pb.CloseInfractionRequest(
            id=infraction_id,
            analysis_result=analysis_result,
            fraud_type=fraud_type,
            analysis_details=analysis_details,
        )
        return self._infractions("Close", request, participant, shapes.infraction_of, within)

    def infraction_cancel(
        self, *, participant: str, infraction_id: str, within: float | None = None
    ) -> DirectoryInfraction:
        """The reporter takes it back."""
        request = pb.CancelInfractionRequest(id=infraction_id)
        return self._infractions("Cancel", request, participant, shapes.infraction_of, within)

    # --- reconciliation -------------------------------------------------------------------------
    def sync_verify(
        self, *, participant: str, key_type: str, verifier: str, within: float | None = None
    ) -> SyncVerification:
        """Ask whether the XOR of a participant's CIDs of a type is the directory's."""
        request = pb.VerifyRequest(key_type=key_type, verifier=verifier)
        return self._sync("Verify", request, participant, shapes.verification_of, within)

    def cid_events_list(
        self,
        *,
        participant: str,
        key_type: str,
        since: datetime,
        until: datetime,
        limit: int = 0,
        within: float | None = None,
    ) -> CidEventsPage:
        """List what came and went, both ends included. `limit`: 200 at most."""
        request = pb.ListEventsRequest(key_type=key_type, since=since, until=until, limit=limit)
        return self._sync("ListEvents", request, participant, shapes.events_of, within)

    def sync_file_create(
        self, *, participant: str, key_type: str, within: float | None = None
    ) -> SyncFile:
        """Order a file of all CIDs. Forty of them a day: read the one that is there first."""
        request = pb.CreateFileRequest(key_type=key_type)
        return self._sync("CreateFile", request, participant, shapes.file_of, within)

    def sync_file_get(
        self, *, participant: str, file_id: str, within: float | None = None
    ) -> SyncFile:
        """Read what has become of a file."""
        request = pb.GetFileRequest(id=file_id)
        return self._sync("GetFile", request, participant, shapes.file_of, within)

    def sync_file_download(
        self, *, participant: str, file_id: str, offset: int = 0, within: float | None = None
    ) -> Iterator[SyncChunk]:
        """Yield the file's bytes from `offset` on, in chunks of CHUNK_BYTES at most and without
        gaps. `within` is for all of them; who has had enough leaves the loop."""
        request = pb.DownloadFileRequest(
            participant=participant,
            correlation_id=correlation.current(),
            id=file_id,
            offset=offset,
        )
        stub: Any = services.SyncStub(channel.channel())
        answers = stub.DownloadFile(request, timeout=calls.deadline(within))
        try:
            for chunk in answers:
                if chunk.offset != offset or not 0 < len(chunk.data) <= CHUNK_BYTES:
                    raise problems.unreadable()
                offset += len(chunk.data)
                yield SyncChunk(chunk.offset, chunk.data)
        except grpc.RpcError as error:
            raise calls.failed("Sync.DownloadFile", error) from error
        finally:
            answers.cancel()

    def entry_get_by_cid(
        self, *, participant: str, cid: str, within: float | None = None
    ) -> CidEntry:
        """Look the entry of a CID up, with the request id that is in it; DirectoryRefused
        `directory_not_found` when there is none."""
        request = pb.GetEntryByCidRequest(cid=cid)
        return self._sync("GetEntryByCid", request, participant, shapes.cid_entry_of, within)

    # --- itself ---------------------------------------------------------------------------------
    def serving(self, *, within: float = 5.0) -> bool:
        """Return whether the bridge says that it serves; False when it says nothing."""
        stub: Any = health_pb2_grpc.HealthStub(channel.channel())
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=calls.deadline(within))
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    def _entries(self, *call: Any) -> Any:
        return calls.unary("Entries", services.EntriesStub, *call)

    def _claims(self, *call: Any) -> Any:
        return calls.unary("Claims", services.ClaimsStub, *call)

    def _infractions(self, *call: Any) -> Any:
        return calls.unary("Infractions", services.InfractionsStub, *call)

    def _sync(self, *call: Any) -> Any:
        return calls.unary("Sync", services.SyncStub, *call)


_directory = Directory()


def directory() -> Directory:
    """Return the client. Nothing is connected before its first call."""
    return _directory
