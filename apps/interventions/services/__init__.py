"""Every write of this domain, one keyword-only verb each.

The row, its steps and the ledger are the truth; a workflow only decides what to try next. Every
verb locks the intervention's row first, so two processes never disagree about what is allowed:
an execution begins only while the money is reserved, the money is released only while nothing was
executed, and a settled intervention takes part in nothing any more.
"""
