"""What people have brought to a request: comments and files."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from apps.approvals.models import Comment, Evidence


@dataclass(frozen=True)
class Brought:
    """A comment, with its number, or a file, with its name. Texts as people wrote them."""

    at: datetime
    by: str
    text: str
    comment: int | None = None


def brought_to(request_id: UUID, *, most: int) -> list[Brought]:
    """Return the newest comments and files of the request, at most so many of each, oldest
    first."""
    comments = Comment.objects.filter(request=request_id).select_related("author")
    files = Evidence.objects.filter(request=request_id).select_related("uploaded_by")
    found = [
        Brought(one.created_at, str(one.author), one.text, one.pk)
        for one in comments.order_by("-created_at", "-id")[:most]
    ]
    found += [
        Brought(file.created_at, str(file.uploaded_by), file.name)
        for file in files.order_by("-created_at", "-id")[:most]
    ]
    return sorted(found, key=lambda one: one.at)
