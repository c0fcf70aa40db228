"""The services of interventions: every write is a function with keyword-only arguments.

The row, its steps and the ledger are authoritative; a workflow only decides what to try next. Every
function first locks the intervention's row, so that concurrent processes agree on what is allowed:
an execution begins only while the money is reserved, the money is released only while nothing was
executed, and a settled intervention does not change any more.
"""
