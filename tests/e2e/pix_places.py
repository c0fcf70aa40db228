"""Pages of Pix keys with something to see on each: claims of both sides, keys, infractions and
synchronisations in each of their states.

The keys are of this module alone: other modules share the stack.
"""

from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from tests.directory import AGREES, OTHER, OURS, REFUSES, SILENT, SimulatedDirectory
from tests.e2e.conftest import Site
from tests.support import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

#: Keys at the other participant, and their owners: tax id and name.
DONORS = {
    "waiting": ("52998224725", "Ana Souza"),
    "completed": ("15350946056", "Bruno Lima"),
    "cancelled": ("98765432100", "Conceição Aparecida de Albuquerque e Vasconcelos"),
}
#: A key that strangers hold, by what they do with a claim.
STRANGERS = {
    AGREES: "+5511990000002",
    REFUSES: "+5511990000003",
    SILENT: "+5511990000004",
}
STRANGERS_OWNER = ("11122233396", "Maria Aparecida Souza")
#: The longest that the directory takes.
LONG_EMAIL = "associacao.dos.produtores.de.queijo.da.serra.da.canastra@cooperativa.example"
COMPANY = {
    "type": "LEGAL_PERSON",
    "tax_id": "11222333000181",
    "name": "Associação dos Produtores de Queijo da Serra da Canastra e Região Ltda.",
    "trade_name": "Queijos da Canastra",
}
ACCOUNT = {"participant": OURS, "branch": "0001", "number": "0007654321", "type": "CACC"}
TOLD = (
    "The buyer paid for a bicycle that was never sent. The shop's page is gone, and the phone "
    "number belongs to somebody else."
)


def payment_to(directory: SimulatedDirectory, ispb: str) -> str:
    """The id of a payment that we made some minutes ago to that stranger, who decides about a
    report: the directory knows the payee by the id."""
    at = directory.now() - timedelta(minutes=5)
    number = [AGREES, REFUSES, SILENT].index(ispb)
    while True:
        payment = f"E{OURS}{at:%Y%m%d%H%M}{uuid4().hex[:11]}"
        if sha256(payment.encode()).digest()[0] % 3 == number:
            return payment


@dataclass
class PixWorld:
    """What people and the directory do before the pages are looked at."""

    site: Site
    directory: SimulatedDirectory

    def places(self) -> dict[str, dict[str, str]]:
        """Addresses by who opens them, and what for."""
        keys, claims, reports, runs = self.keys(), self.claims(), self.reports(), self.runs()
        at = {kind: f"/pix/{kind}/" for kind in ("keys", "claims", "infractions", "sync")}
        return {
            "officer of keys": {
                "pix-keys": at["keys"],
                "pix-keys-filtered": f"{at['keys']}?status=removed&key_type=EVP",
                "pix-keys-failed": f"{at['keys']}?error=bad_request",
                "pix-key-new": "/pix/keys/new/",
                "pix-key-find": "/pix/keys/find/",
                "pix-key-change": f"{at['keys']}{keys['active']}/change/",
                **{f"pix-key-{name}": f"{at['keys']}{key}/" for name, key in keys.items()},
            },
            "officer of claims": {
                "pix-board": "/pix/claims/board/",
                "pix-board-donor": "/pix/claims/board/?side=DONOR",
                "pix-claims": at["claims"],
                "pix-claims-empty": f"{at['claims']}?status=expired",
                "pix-claim-new": "/pix/claims/new/",
                "pix-claims-inbox": "/inbox/?kind=pix.claim",
                "pix-claim-request": f"/requests/{self.request_about(claims['waiting'])}/",
                "pix-rulebooks": "/pix/rulebooks/",
                "pix-rulebook": f"/pix/rulebooks/{self.rulebook()}/",
                "pix-rulebook-new": "/pix/rulebooks/new/?code=dict",
                **{f"pix-claim-{name}": f"{at['claims']}{one}/" for name, one in claims.items()},
            },
            "officer of reports": {
                "home-officer": "/",
                "pix-infractions": at["infractions"],
                "pix-infractions-empty": f"{at['infractions']}?participant=99999999",
                "pix-infraction-new": "/pix/infractions/new/",
                "pix-infraction-request": f"/requests/{self.request_about(reports['received'])}/",
                **{
                    f"pix-infraction-{name}": f"{at['infractions']}{one}/"
                    for name, one in reports.items()
                },
                "pix-syncs": at["sync"],
                "pix-syncs-empty": f"{at['sync']}?status=stopped",
                "pix-sync-new": "/pix/sync/new/",
                "pix-sync-request": f"/requests/{self.request_about(runs['waiting'])}/",
                **{f"pix-sync-{name}": f"{at['sync']}{one}/" for name, one in runs.items()},
            },
            "auditor of keys": {
                "pix-board-auditor": "/pix/claims/board/",
                "pix-key-auditor": f"{at['keys']}{keys['active']}/",
                "pix-claim-auditor": f"{at['claims']}{claims['confirmed']}/",
                "pix-infraction-auditor": f"{at['infractions']}{reports['received']}/",
                "pix-sync-auditor": f"{at['sync']}{runs['waiting']}/",
            },
            "requester of claims": {
                "pix-claims-requester": at["claims"],
                "pix-claim-requester": f"{at['claims']}{claims['waiting']}/",
            },
            "admin of keys": {
                **{f"admin-pix-{name}": f"/admin/pix/{name}/" for name in ADMIN},
                "admin-pix-participant-1": f"/admin/pix/participant/{OURS}/change/",
                "admin-pix-entry-1": f"/admin/pix/entry/{keys['active']}/change/",
                "admin-pix-claim-1": f"/admin/pix/claim/{claims['waiting']}/change/",
                "admin-pix-infraction-1": f"/admin/pix/infraction/{reports['closed']}/change/",
                "admin-pix-syncrun-1": f"/admin/pix/syncrun/{runs['repaired']}/change/",
            },
        }

    # --- keys -------------------------------------------------------------------------------------
    def keys(self) -> dict[str, str]:
        """Ids of keys by what is to be seen on their page."""
        ana, bruno = ("39053344705", "Ana Clara Prado"), ("71428793860", "Bruno Prado")
        made = {
            "active": self.key("CPF", *ana, OURS),
            "removed": self.key("CPF", *bruno, OURS),
            "possession": self.key("EMAIL", "", "", OURS, key=LONG_EMAIL, owner=COMPANY),
        }
        for name in ("active", "removed"):
            self.until(f"/pix/entries/{made[name]}", "active")
        self.officer("DELETE", f"/pix/entries/{made['removed']}", {"reason": "USER_REQUESTED"})
        self.directory.faults("Entries.Update", status=400, next=1)
        changed = {"owner": {"name": "Ana Clara Prado de Moraes"}}
        self.officer("PUT", f"/pix/entries/{made['active']}", changed)
        self.until(f"/pix/entries/{made['removed']}", "removed")
        return made

    def key(self, kind: str, tax_id: str, name: str, at: str, **more: Any) -> str:
        """Create a key; its id. A person's CPF, unless `more` says another key and owner."""
        body = {
            "key_type": kind,
            "key": more.get("key", tax_id),
            "account": {**ACCOUNT, "participant": at},
            "owner": more.get("owner")
            or {"type": "NATURAL_PERSON", "tax_id": tax_id, "name": name},
        }
        return str(self.officer("POST", "/pix/entries", body)["id"])

    # --- claims -----------------------------------------------------------------------------------
    def claims(self) -> dict[str, str]:
        """Ids of claims by what is to be seen on their page."""
        held = {end: self.key("CPF", *owner, OTHER) for end, owner in DONORS.items()}
        for one in held.values():
            self.until(f"/pix/entries/{one}", "active")
        made = {}
        for end, rulebook in (("waiting", "source"), ("completed", "dict"), ("cancelled", "dict")):
            made[end] = self.claim("CPF", DONORS[end][0], DONORS[end], rulebook)
        for ispb, name in ((REFUSES, "refused"), (SILENT, "silent")):
            made[name] = self.claim("PHONE", STRANGERS[ispb], STRANGERS_OWNER, "source")
        ours = DONORS["waiting"]
        made["confirmed"] = self.claim("PHONE", STRANGERS[AGREES], ours, "dict", "OWNERSHIP")
        stranger = self.directory.open_claim("ana.souza@example.com", type="PORTABILITY")
        for name, verb in (("waiting", ""), ("completed", "confirm"), ("cancelled", "cancel")):
            self.request_about(made[name])
            if verb:
                body = {"role": "DONOR", "reason": "USER_REQUESTED"}
                self.officer("POST", f"/pix/claims/{made[name]}/{verb}", body)
        for name in ("confirmed", "cancelled", "completed"):
            self.until(f"/pix/claims/{made[name]}", name)
        self.until(f"/pix/claims/{made['refused']}", "cancelled")
        made["stranger"] = self.named("claim", stranger.id)
        return made

    def claim(
        self,
        kind: str,
        key: str,
        owner: tuple[str, str],
        rulebook: str,
        claim_type: str = "PORTABILITY",
    ) -> str:
        """Claim a key as the requester; the claim's id."""
        tax_id, name = owner
        body = {
            "claim_type": claim_type,
            "key_type": kind,
            "key": key,
            "claimer_account": ACCOUNT,
            "claimer": {"type": "NATURAL_PERSON", "tax_id": tax_id, "name": name},
            "rulebook": rulebook,
        }
        return str(self.said("POST", "/pix/claims", body)["id"])

    def rulebook(self) -> str:
        """The id of a version that waits for its signature."""
        rows = self.site.stack.sql
        query = "SELECT id FROM pix_claimrulebook WHERE code = 'dict' AND number = %s"
        if not rows(query, 2):
            page = self.site.sign_in("officer2")
            page.goto("/pix/rulebooks/new/?code=dict")
            document = page.get_by_label("Document")
            document.fill(document.input_value().replace("604800", "1209600"))
            page.get_by_label("Why").fill("Two weeks for the donor: holidays.")
            page.get_by_role("button", name="Ask for the signature").click()
            page.wait_for_url("**/pix/rulebooks/*-*/")
            page.context.close()
        return str(rows(query, 2)[0][0])

    # --- infractions ------------------------------------------------------------------------------
    def reports(self) -> dict[str, str]:
        """Ids of infractions by what is to be seen on their page."""
        opened = {
            name: self.directory.open_infraction(amount=amount, details=TOLD)
            for name, amount in (("received", "1234.56"), ("overdue", "89000"), ("closed", "50"))
        }
        made = {name: self.named("infraction", one.id) for name, one in opened.items()}
        body = {
            "transaction_id": payment_to(self.directory, SILENT),
            "reporter_ispb": OURS,
            "situation": "ACCOUNT_TAKEOVER",
            "details": TOLD,
            "contact_email": "fraudes@banco-ipe.example",
            "contact_phone": "+551140028922",
            "key_type": "EMAIL",
            "key": LONG_EMAIL,
        }
        made["reported"] = str(self.officer("POST", "/pix/infractions", body)["id"])
        for name in opened:
            self.request_about(made[name])
            self.until(f"/pix/infractions/{made[name]}", "acknowledged")
        at = f"/pix/infractions/{made['received']}/evidence"
        self.officer("POST", at, {"description": "The police report names the account's holder."})
        at = f"/pix/infractions/{made['overdue']}/escalate"
        self.officer("POST", at, {"reason": "It is about much money."})
        self.until(f"/pix/infractions/{made['overdue']}", "escalated")
        self.site.stack.sql(
            "UPDATE pix_infraction SET due_at = now() - interval '3 hours' WHERE id = %s"
            " RETURNING 1",
            made["overdue"],
        )
        body = {"fraud_type": "MULE_ACCOUNT", "reason": "Twelve payments in an hour."}
        self.officer("POST", f"/pix/infractions/{made['closed']}/resolve", body)
        self.until(f"/pix/infractions/{made['closed']}", "closed")
        self.until(f"/pix/infractions/{made['reported']}", "acknowledged")
        return made

    # --- synchronisations -------------------------------------------------------------------------
    def runs(self) -> dict[str, str]:
        """Ids of synchronisations: one that has repaired, and one that waits for a person."""
        self.directory.tamper(OURS, key_type="EVP", extra=4)
        self.directory.tamper(OTHER, key_type="EVP", extra=120)
        made = {
            name: str(self.officer("POST", "/pix/sync-runs", {"participant": ispb})["id"])
            for name, ispb in (("repaired", OURS), ("waiting", OTHER))
        }
        self.until(f"/pix/sync-runs/{made['repaired']}", "ok", "differs")
        self.until(f"/pix/sync-runs/{made['waiting']}", "waiting")
        return made

    # --- calls ------------------------------------------------------------------------------------
    def said(self, method: str, path: str, body: Any = None, key: str = "") -> dict[str, Any]:
        """The answer to a call of the API that has succeeded."""
        status, answer = self.site.call(method, path, body, key)
        assert status < 300, (path, answer)
        return dict(answer)

    def officer(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """As `said`, by the officer."""
        return self.said(method, path, body, self.site.stack.api_key("officer"))

    def until(self, path: str, *statuses: str) -> str:
        """Wait until what is there has one of these statuses; return it."""

        def look() -> str:
            status = str(self.officer("GET", path)["status"])
            return status if status in statuses else ""

        return eventually(look, 40)

    def request_about(self, subject: str) -> str:
        """The id of the newest request about a row, as soon as there is one."""
        query = "SELECT id FROM approvals_approvalrequest WHERE subject_id = %s ORDER BY id DESC"
        return self._id(lambda: self.site.stack.sql(query, subject))

    def named(self, table: str, directory_id: str) -> str:
        """Our id of what the directory lists, as soon as it was read."""
        query = f"SELECT id FROM pix_{table} WHERE directory_id = %s"
        return self._id(lambda: self.site.stack.sql(query, directory_id))

    def _id(self, rows: "Callable[[], list[tuple[Any, ...]]]") -> str:
        return str(eventually(rows, 60)[0][0])


#: Models with a page in the admin.
ADMIN = (
    "participant",
    "entry",
    "entrychange",
    "possessioncode",
    "claim",
    "claimrulebook",
    "infraction",
    "infractionsignal",
    "syncrun",
    "syncverdict",
    "syncdifference",
    "directorycall",
)
