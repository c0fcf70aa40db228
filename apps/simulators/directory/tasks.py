"""What strangers have yet to do, and by when. It is done at the next call after that."""

from apps.pix.bridge import directory_pb2 as pb
from apps.simulators.directory.store import DAY, Store, microseconds


def claim_changed(store: Store, claim: pb.Claim) -> None:
    """Note what its sides do next, those that are not ours."""
    donor = store.behaviour(claim.donor_participant)
    claimer = store.behaviour(claim.claimer_account.participant)
    now = store.now()
    if donor != "ours" and claim.status == "OPEN":
        _note(store, now, "acknowledge", claim.id)
    if donor != "ours" and claim.status == "WAITING_RESOLUTION":
        if donor == "silent":
            _note(store, microseconds(claim.resolution_ends_at), "default", claim.id)
        else:
            _note(store, now, "confirm" if donor == "agrees" else "refuse", claim.id)
    if claimer != "ours" and claim.status == "CONFIRMED":
        at = microseconds(claim.completion_ends_at) if claim.type == "OWNERSHIP" else now
        if claimer != "silent":
            _note(store, at, "complete", claim.id)
        elif claim.type == "OWNERSHIP":
            # Its user never proves possession; by then the day for that is certainly over.
            _note(store, at + 30 * DAY, "give_up", claim.id)


def infraction_changed(store: Store, infraction: pb.Infraction) -> None:
    """Note what its counterparty does next, if it is not ours."""
    behaviour = store.behaviour(infraction.counterparty_participant)
    if behaviour == "ours":
        return
    now = store.now()
    if infraction.status == "OPEN":
        _note(store, now, "see", infraction.id)
    elif infraction.status == "ACKNOWLEDGED":
        kind = "agree" if behaviour == "agrees" else "disagree"
        _note(store, now if behaviour != "silent" else now + 7 * DAY, kind, infraction.id)


def _note(store: Store, at: int, kind: str, subject: str) -> None:
    store.db.execute("INSERT INTO tasks (at, kind, subject) VALUES (?, ?, ?)", (at, kind, subject))
