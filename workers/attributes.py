"""Workflow helper: the search attributes that link a run to its row."""

from temporalio import workflow
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from apps.engine import contracts as engine

SUBJECT_ATTRIBUTE = SearchAttributeKey.for_keyword(engine.SUBJECT_ATTRIBUTE)
KIND_ATTRIBUTE = SearchAttributeKey.for_keyword(engine.KIND_ATTRIBUTE)


def subject_attributes(subject_type: str, subject_id: str) -> TypedSearchAttributes:
    """Return the search attributes of a child that carries this row."""
    subject = SearchAttributePair(SUBJECT_ATTRIBUTE, f"{subject_type}:{subject_id}")
    return TypedSearchAttributes([subject, SearchAttributePair(KIND_ATTRIBUTE, subject_type)])


def mark(subject_type: str, subject_id: str) -> None:
    """Set the attributes on this run if it has none, because it was started by hand; the mirror
    finds its row by them."""
    if SUBJECT_ATTRIBUTE not in workflow.info().typed_search_attributes:
        attributes = subject_attributes(subject_type, subject_id)
        workflow.upsert_search_attributes([pair.key.value_set(pair.value) for pair in attributes])
