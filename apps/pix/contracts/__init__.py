"""Names, statuses and values that Pix keys and their workflows share. Standard library only."""

from enum import StrEnum

#: The queue's name in the settings of the service that this one takes over from.
TASK_QUEUE = "conn-dict-task-queue"
#: Types of rows, in audit entries and topics.
CLAIM, ENTRY, ENTRY_CHANGE = "claim", "entry", "entry_change"
INFRACTION, SYNC_RUN, RULEBOOK = "infraction", "sync_run", "claim_rulebook"
RULEBOOK_KIND = "pix.rulebook"
#: The topic that every event of this domain goes to.
EVENTS_TOPIC = "dict-events"

CLAIM_WORKFLOW = "ClaimWorkflow"
CREATE_WORKFLOW = "CreateEntryWorkflow"
UPDATE_WORKFLOW = "UpdateEntryWorkflow"
DELETE_WORKFLOW = "DeleteEntryWorkflow"
INFRACTION_WORKFLOW = "InvestigateInfractionWorkflow"
SYNC_WORKFLOW = "VSyncWorkflow"
SCHEDULER_WORKFLOW = "VSyncSchedulerWorkflow"

#: Ids that come from outside: of claims, entries and infractions.
LONGEST_ID = 100
LONGEST_KEY = 77


class KeyType(StrEnum):
    """Types of keys, in the directory's words."""

    CPF = "CPF"
    CNPJ = "CNPJ"
    PHONE = "PHONE"
    EMAIL = "EMAIL"
    EVP = "EVP"


class OwnerType(StrEnum):
    """Who owns an entry, in the directory's words."""

    NATURAL_PERSON = "NATURAL_PERSON"
    LEGAL_PERSON = "LEGAL_PERSON"


class AccountType(StrEnum):
    """Types of accounts, in the words of ISO 20022."""

    CACC = "CACC"
    TRAN = "TRAN"
    SLRY = "SLRY"
    SVGS = "SVGS"
    OTHR = "OTHR"


class ClaimType(StrEnum):
    """What is claimed: the same owner's key for another participant, or another owner's key."""

    PORTABILITY = "PORTABILITY"
    OWNERSHIP = "OWNERSHIP"


class Role(StrEnum):
    """The two sides of a claim."""

    DONOR = "DONOR"
    CLAIMER = "CLAIMER"


class ClaimStatus(StrEnum):
    """Status of a claim. `open`: the donor's participant has not acknowledged it; `waiting`: the
    donor has not decided; `decided`: a decision is being carried out; `confirmed`: the claimer has
    not completed it."""

    OPEN = "open"
    WAITING = "waiting"
    DECIDED = "decided"
    CONFIRMED = "confirmed"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def ended(self) -> bool:
        """Return whether nothing of the claim is open any more."""
        open_statuses = (
            ClaimStatus.OPEN,
            ClaimStatus.WAITING,
            ClaimStatus.DECIDED,
            ClaimStatus.CONFIRMED,
        )
        return self not in open_statuses


class EntryStatus(StrEnum):
    """Status of an entry. `possession`: its owner has not proved to have the phone or mailbox;
    `pending`: the directory has not answered; `removed`: it was in the directory, or never came
    there."""

    POSSESSION = "possession"
    PENDING = "pending"
    ACTIVE = "active"
    REMOVED = "removed"

    @property
    def ended(self) -> bool:
        """Return whether the key is free again."""
        return self is EntryStatus.REMOVED


class ChangeKind(StrEnum):
    """What is done to an entry in the directory."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


class ChangeStatus(StrEnum):
    """Status of a change of an entry. `waiting`: for the code of its owner's phone or mailbox."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Return whether nothing of the change is under way any more."""
        return self not in (ChangeStatus.WAITING, ChangeStatus.RUNNING)


class Origin(StrEnum):
    """Where a row comes from: somebody here, a workflow that others started, or the directory."""

    HERE = "here"
    ENGINE = "engine"
    DIRECTORY = "directory"


class RulebookStatus(StrEnum):
    """Status of a version of a rulebook. `active`: new claims are opened under it."""

    AWAITING_APPROVAL = "awaiting_approval"
    ACTIVE = "active"
    REPLACED = "replaced"
    REJECTED = "rejected"
