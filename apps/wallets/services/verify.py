"""Verifies the ledger: every journal balances, and explains every stored balance."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, transaction

from apps.wallets.contracts import AccountKind

#: Rows that are in memory at a time.
CHUNK = 2000
#: The first ones tell enough.
MOST_PROBLEMS = 50

_JOURNALS = """
    SELECT journal.id, journal.key, journal.size, found.number, found.total, found.foreign_lines
      FROM wallets_journal journal
      CROSS JOIN LATERAL (
          SELECT count(*) AS number, coalesce(sum(line.amount), 0) AS total,
                 count(*) FILTER (WHERE account.currency <> journal.currency) AS foreign_lines
            FROM wallets_journalline line JOIN wallets_account account
              ON account.id = line.account_id
           WHERE line.journal_id = journal.id
      ) found
     WHERE %(after)s::uuid IS NULL OR journal.id > %(after)s::uuid
     ORDER BY journal.id LIMIT %(limit)s
"""
_WALLETS = """
    SELECT wallet.id, account.code, wallet.balance, found.total,
           wallet.currency = account.currency AND wallet.currency = rider.currency
      FROM wallets_wallet wallet
      JOIN wallets_account account ON account.id = wallet.account_id
      JOIN wallets_rider rider ON rider.id = wallet.rider_id
      CROSS JOIN LATERAL (
          SELECT -coalesce(sum(line.amount), 0) AS total
            FROM wallets_journalline line WHERE line.account_id = account.id
      ) found
     WHERE %(after)s::bigint IS NULL OR wallet.id > %(after)s::bigint
     ORDER BY wallet.id LIMIT %(limit)s
"""
_PREPAID = """
    SELECT account.code, -coalesce(sum(line.amount), 0)
      FROM wallets_account account LEFT JOIN wallets_journalline line
        ON line.account_id = account.id
     WHERE account.kind = %(kind)s GROUP BY account.code ORDER BY account.code
"""


@dataclass
class LedgerReport:
    """What `verifyledger` found. `problems` is empty when the ledger holds."""

    journals: int = 0
    wallets: int = 0
    problems: list[str] = field(default_factory=list)
    problem_count: int = 0

    @property
    def whole(self) -> bool:
        """Return whether nothing was found."""
        return self.problem_count == 0

    def add(self, problem: str) -> None:
        """Count a problem; keep the first fifty."""
        self.problem_count += 1
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(problem)


def ledger_verify(*, progress: Callable[[int], None] | None = None) -> LedgerReport:
    """Check every journal and every wallet as of one moment, in constant memory.

    Finds: journals that do not sum to zero, have lost or gained lines, or touch an account of
    another currency; balances that differ from their lines or are negative; wallets in another
    currency than their accounts; less than nothing prepaid in a currency. `progress` is called with
    the number of journals checked so far.
    """
    report = LedgerReport()
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        # One snapshot for all: what is posted meanwhile is in none of the sums.
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        for _id, key, size, number, total, foreign_lines in _all(cursor, _JOURNALS):
            report.journals += 1
            if total != 0:
                report.add(f"journal {key}: its lines sum to {total:f}, not to zero")
            if number != size:
                report.add(f"journal {key}: {number} lines, not {size}")
            if foreign_lines:
                report.add(f"journal {key}: an account has another currency")
            if progress and report.journals % CHUNK == 0:
                progress(report.journals)
        for _id, code, balance, total, one_currency in _all(cursor, _WALLETS):
            report.wallets += 1
            if balance != total:
                report.add(f"{code}: the balance is {balance:f}, its lines say {total:f}")
            if balance < 0:
                report.add(f"{code}: the balance {balance:f} is negative")
            if not one_currency:
                report.add(f"{code}: rider, wallet and account have different currencies")
        cursor.execute(_PREPAID, {"kind": AccountKind.PREPAID})
        for code, total in cursor.fetchall():
            if total < 0:
                report.add(f"{code}: {total:f} is prepaid, less than nothing")
    return report


def _all(cursor: Any, query: str) -> Iterator[tuple[Any, ...]]:
    """Yield the query's rows, CHUNK at a time, in the order of their ids."""
    after = None
    while True:
        cursor.execute(query, {"after": after, "limit": CHUNK})
        rows = cursor.fetchall()
        yield from rows
        if len(rows) < CHUNK:
            return
        after = rows[-1][0]
