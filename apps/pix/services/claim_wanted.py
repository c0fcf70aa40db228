"""What a claim asks for, cleaned, and whether two requests ask for the same."""

import re
from dataclasses import dataclass, field
from typing import Any

from apps.common.errors import Conflict, Invalid
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.engine import process
from apps.pix import holders, keys
from apps.pix.contracts import LONGEST_ID, Origin
from apps.pix.contracts.claims import ClaimRequest
from apps.pix.models import Claim, Entry
from apps.pix.services.claim_rows import PROCESS, clean_claim_type
from apps.pix.services.rulebooks import rulebook_active
from apps.pix.services.shared import is_ours

_CLAIM_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is asked for, cleaned. The defaults are those of a claim without a key."""

    claim_id: str
    claim_type: str
    claimer_ispb: str
    donor_ispb: str = ""
    entry_ref: str = ""
    key_type: str = ""
    key: str = ""
    rulebook: str = ""
    account: dict[str, Any] = field(default_factory=dict)
    owner: dict[str, Any] = field(default_factory=dict)

    def asked(self) -> list[Any]:
        """Return what tells a repeat from another request."""
        return [str(vars(self)[name]) for name in sorted(vars(self))]

    def columns(self, claim_id: str, origin: Origin) -> dict[str, Any]:
        """Return the columns of its row. Raises Invalid `rulebook_unknown`."""
        entry = entry_of(self.key_type, self.key, self.entry_ref)
        known = {"key_type": self.key_type, "key": self.key, "entry_ref": self.entry_ref}
        if entry is not None and self.donor_ispb in ("", entry.participant):
            known = {"key_type": entry.key_type, "key": entry.key, "entry_ref": entry.entry_id}
        donor = self.donor_ispb or (entry.participant if entry else "")
        return {
            **known,
            **self.account,
            **self.owner,
            "claim_id": claim_id,
            "claim_type": self.claim_type,
            "claimer_ispb": self.claimer_ispb,
            "claimer_ours": is_ours(self.claimer_ispb),
            "donor_ispb": donor,
            "donor_ours": is_ours(donor),
            "rulebook": rulebook_active(self.rulebook),
            "origin": origin,
        }


def account_columns(raw: Any, *, required: bool) -> dict[str, Any]:
    """Return `claimer_ispb` and `account`, the columns of an account given as an object, or as the
    text of its number. Raises Invalid `account_invalid`, and as `apps.pix.holders`."""
    if raw in (None, "") and not required:
        return {"account": {}}
    if isinstance(raw, str) and not required:
        return {"account": {"account_number": holders.clean_account_number(raw)}}
    if not isinstance(raw, dict) or not set(raw) <= {"participant", "branch", "number", "type"}:
        raise Invalid(
            _("An account has participant, branch, number and type."), code="account_invalid"
        )
    columns = holders.account_columns(raw.get("branch"), raw.get("number"), raw.get("type"))
    if "participant" not in raw and not required:
        return {"account": columns}
    ispb = holders.clean_ispb(raw.get("participant"), field="participant")
    return {"claimer_ispb": ispb, "account": columns}


def owner_columns(raw: Any, *, required: bool) -> dict[str, Any]:
    """Return `owner`, the columns of an owner given as an object. Raises Invalid `owner_invalid`,
    and as `apps.pix.holders`."""
    if raw in (None, "") and not required:
        return {"owner": {}}
    if not isinstance(raw, dict) or not set(raw) <= {"type", "tax_id", "name", "trade_name"}:
        raise Invalid(_("An owner has type, tax_id, name and trade_name."), code="owner_invalid")
    kind = holders.clean_owner_type(raw.get("type"))
    return {
        "owner": {
            "owner_type": kind.value,
            "tax_id": holders.clean_tax_id(kind, raw.get("tax_id")),
            "name": holders.clean_name(raw.get("name")),
            "trade_name": holders.clean_trade_name(kind, raw.get("trade_name")),
        }
    }


def clean_claim_id(raw: str) -> str:
    """Return the id. Raises Invalid `claim_id_invalid`."""
    if not isinstance(raw, str) or not _CLAIM_ID.fullmatch(raw):
        raise Invalid(
            filled(
                _("An id of a claim has 1 to {most} letters, digits and . _ : -"), most=LONGEST_ID
            ),
            code="claim_id_invalid",
            field="claim_id",
        )
    return raw


def wanted_of(request: ClaimRequest) -> Wanted:
    """Return what a workflow that was started by hand asks for. Raises NotFound if it says no more
    than an id."""
    if not request.claim_type:
        raise process.unknown(PROCESS)
    account = account_columns(request.claimer_account, required=False)
    account.pop("claimer_ispb", None)
    return Wanted(
        claim_id=clean_claim_id(request.claim_id),
        claim_type=clean_claim_type(request.claim_type),
        claimer_ispb=holders.clean_ispb(request.claimer_ispb, field="claimer_ispb"),
        donor_ispb=holders.clean_ispb(request.donor_ispb, field="donor_ispb"),
        entry_ref=clean_claim_id(request.entry_id) if request.entry_id else "",
        key_type=keys.clean_key_type(request.key_type) if request.key else "",
        key=keys.clean_key(request.key_type, request.key) if request.key else "",
        rulebook=request.rulebook,
        **account,
        **owner_columns(request.claimer, required=False),
    )


def check_same(claim: Claim, request: ClaimRequest) -> None:
    """Raise Conflict `claim_differs` if the claim with this id is another one. A request that says
    no more than the id is for the claim that there is."""
    given = {
        "claim_type": request.claim_type,
        "claimer_ispb": request.claimer_ispb.upper(),
        "donor_ispb": request.donor_ispb.upper(),
    }
    for name, value in given.items():
        if value and getattr(claim, name) not in ("", value):
            raise Conflict(
                filled(_("The claim with this id has another {field}."), field=name),
                code="claim_differs",
                field=name,
            )


def entry_of(key_type: str, key: str, entry_id: str) -> Entry | None:
    """Return the live entry with this key, or with this id, if we have it."""
    live = Entry.objects.live()
    if key:
        return live.filter(key_type=key_type, key=key).first()
    return live.filter(entry_id=entry_id).exclude(key="").first() if entry_id else None
