"""Comments: what people say to each other about a request."""

import re
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.urls import reverse

from apps.accounts import throttle
from apps.accounts.models import User
from apps.approvals import validation
from apps.approvals.contracts import SUBJECT_TYPE
from apps.approvals.models import (
    VIEW_PERMISSION,
    ApprovalRequest,
    Comment,
    Evidence,
    PayloadVersion,
    Signature,
)
from apps.approvals.selectors.comment_permissions import may_write, reading_refusal
from apps.approvals.selectors.signing import PERMISSIONS_BACKEND
from apps.approvals.services.rows import record
from apps.audit.contracts import Outcome
from apps.audit.services import entry_record, refusals
from apps.common.errors import Conflict, Invalid, NotFound, TooMany
from apps.common.identifiers import new_id
from apps.live.broadcast import broadcast
from apps.notifications.services import notify

TEXT_LIMIT = 5000
NONCE_LIMIT = 64
#: Further names in one comment are left as text: a comment is no mailing list.
MOST_MENTIONS = 20
EXCERPT = 500
#: Of one person, over all requests: each tells people by e-mail and stays for ever.
MOST_AT_ONCE, AT_ONCE_SECONDS = 30, 300

#: What may be a username, not inside a word: `a@b` is an address.
MENTION = re.compile(r"(?<![\w@.+-])@([\w.@+-]{1,150})")


def comment_add(
    *, request_id: UUID | str, by: User, text: str, nonce: str, via: str, as_of: datetime
) -> Comment:
    """Say something about a request that the person may see, open or settled.

    `@username` mentions who may see it as well, and tells them; the others who took part are told
    that there is a comment. Once per `nonce` and person, also at once; empty: each call counts.
    Raises, each audited: NotFound `not_found` (or invisible to the person); NotAllowed
    `permission_denied` for who only reads; Invalid `comment_empty`, `comment_too_long`,
    `invalid_text`, `nonce_invalid`; Conflict `nonce_reused` when the nonce came with another text;
    TooMany `too_many_comments` beyond MOST_AT_ONCE, of which only the first is audited.
    """
    about: dict[str, Any] = {
        "action": "approval.comment",
        "subject_type": SUBJECT_TYPE,
        "subject_id": validation.printable(request_id),
        "by": by,
        "via": via,
    }
    limit = _counted(by, about)
    with refusals(**about):
        text = _text_of(text)
        nonce = _nonce_of(nonce) or str(new_id())
        with transaction.atomic(durable=True):
            request = (
                ApprovalRequest.objects.visible_to(by)
                .filter(pk=validation.uuid_of(request_id))
                .first()
            )
            if request is None:
                raise NotFound("There is no such request.")
            if not may_write(request, by):
                raise reading_refusal()
            # Without the request's lock: nothing in its row changes, and who signs need not wait.
            # Two at once with one nonce: the second waits for the first on the unique index.
            comment, created = Comment.objects.get_or_create(
                request=request,
                author=by,
                nonce=nonce,
                defaults={"text": text, "created_at": as_of},
            )
            if not created:
                if comment.text != text:
                    raise Conflict("This nonce came with another text.", code="nonce_reused")
                throttle.give_back(limit)
                return comment
            mentioned = mentions_of(request, text)
            comment.mentions.set(mentioned)
            record(
                request,
                "commented",
                by=by,
                via=via,
                body={
                    "comment": comment.pk,
                    "text": text,
                    "mentions": [person.audit_id for person in mentioned],
                },
            )
            _tell(request, comment, by=by, mentioned=mentioned)
            broadcast(f"request:{request.pk}", id=str(request.pk), version=request.version)
            return comment


def mentions_of(request: ApprovalRequest, text: str) -> list[User]:
    """Whom the text names and who may see the request, at most MOST_MENTIONS, in no order that
    tells anything about who else exists."""
    names = {name for found in MENTION.findall(text) for name in names_in(found)}
    people = may_see(request).filter(username__in=names)
    return list(people.order_by("username")[:MOST_MENTIONS])


def names_in(found: str) -> list[str]:
    """`@ana.` at the end of a sentence may be ana, or somebody whose name ends with a dot."""
    names = [found]
    while names[-1] and names[-1][-1] in ".@+-":
        names.append(names[-1][:-1])
    return [name for name in names if name]


def may_see(request: ApprovalRequest) -> "QuerySet[User]":
    """Everybody who may see the request: the set form of `visible_to`."""
    viewers = User.objects.with_perm(VIEW_PERMISSION, backend=PERMISSIONS_BACKEND)
    return User.objects.filter(is_active=True).filter(
        Q(pk__in=viewers.order_by().values("pk")) | Q(pk=request.requested_by_id)
    )


def _counted(by: User, about: dict[str, Any]) -> throttle.Limit:
    """A comment, counted before it is looked at: refused ones fill the trail as well."""
    limit = throttle.Limit("comment", str(by.pk), MOST_AT_ONCE, AT_ONCE_SECONDS)
    if refused := throttle.consume(limit):
        if refused.first:
            entry_record(
                **about,
                outcome=Outcome.REFUSED,
                code="too_many_comments",
                body={"most": MOST_AT_ONCE, "seconds": AT_ONCE_SECONDS},
            )
        minutes = -(-refused.retry_after // 60)
        raise TooMany(
            f"At most {MOST_AT_ONCE} comments in {AT_ONCE_SECONDS // 60} minutes: "
            f"wait {'a minute' if minutes == 1 else f'{minutes} minutes'}.",
            code="too_many_comments",
            retry_after=refused.retry_after,
        )
    return limit


def _tell(request: ApprovalRequest, comment: Comment, *, by: User, mentioned: list[User]) -> None:
    url = f"{reverse('request', args=[request.pk])}#comment-{comment.pk}"
    told = {by.pk} | {person.pk for person in mentioned}
    notify(
        key=f"comment:{comment.pk}:mentioned",
        recipients=[person for person in mentioned if person.pk != by.pk],
        kind="approval.mentioned",
        title=f"{by} mentioned you: {request.title}",
        text=comment.text[:EXCERPT],
        url=url,
    )
    others = may_see(request).filter(pk__in=_took_part(request) - told)
    notify(
        key=f"comment:{comment.pk}:commented",
        recipients=list(others),
        kind="approval.commented",
        title=f"{by} commented: {request.title}",
        text=comment.text[:EXCERPT],
        url=url,
    )


def _took_part(request: ApprovalRequest) -> set[int]:
    """Who asked, edited, signed (and on whose behalf), holds it, brought something or spoke."""
    people: set[int | None] = {request.requested_by_id, request.claimed_by_id}
    for actor, authority in Signature.objects.filter(request=request).values_list(
        "actor", "authority"
    ):
        people |= {actor, authority}
    people |= set(
        PayloadVersion.objects.filter(request=request).values_list("edited_by", flat=True)
    )
    people |= set(Evidence.objects.filter(request=request).values_list("uploaded_by", flat=True))
    # Distinct in the database: there may be very many.
    authors = Comment.objects.filter(request=request).order_by().values_list("author", flat=True)
    people |= set(authors.distinct())
    return {pk for pk in people if pk is not None}


def _text_of(text: str) -> str:
    text = validation.text_of(text, code="invalid_text").replace("\r\n", "\n").replace("\r", "\n")
    text = text.strip()
    if not text:
        raise Invalid("There is nothing in the comment.", code="comment_empty")
    if len(text) > TEXT_LIMIT:
        raise Invalid(f"A comment has at most {TEXT_LIMIT:,} characters.", code="comment_too_long")
    return text


def _nonce_of(nonce: str) -> str:
    nonce = validation.text_of(nonce, code="nonce_invalid").strip()
    if len(nonce) > NONCE_LIMIT:
        raise Invalid(f"A nonce has at most {NONCE_LIMIT} characters.", code="nonce_invalid")
    return nonce
