"""Comments on requests, with mentions."""

import re
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils.translation import gettext

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
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.live.broadcast import broadcast
from apps.notifications.services import notify

TEXT_LIMIT = 5000
NONCE_LIMIT = 64
#: Further names in one comment stay plain text: a comment is not a mailing list.
MOST_MENTIONS = 20
EXCERPT = 500
#: Rate limit per user over all requests: each comment sends e-mails and is stored for ever.
MOST_AT_ONCE, AT_ONCE_SECONDS = 30, 300

#: A possible username, not inside a word: `a@b` is an address.
MENTION = re.compile(r"(?<![\w@.+-])@([\w.@+-]{1,150})")


def comment_add(
    *, request_id: UUID | str, by: User, text: str, nonce: str, via: str, as_of: datetime
) -> Comment:
    """Add a comment to a request that the user may see, open or settled.

    `@username` mentions and notifies a user who may see the request; the others who took part are
    notified of the comment. One comment per `nonce` and user, also for concurrent calls; empty:
    every call adds one. Raises, each audited: NotFound `not_found` (or invisible to the user);
    NotAllowed `permission_denied` for users who only read; Invalid `comment_empty`,
    `comment_too_long`, `invalid_text`, `nonce_invalid`; Conflict `nonce_reused` when the nonce came
    with another text; TooMany `too_many_comments` beyond MOST_AT_ONCE, of which only the first is
    audited.
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
                raise NotFound(_("There is no such request."))
            comment, created = comment_put(
                request=request, by=by, text=text, nonce=nonce, via=via, as_of=as_of
            )
            if not created:
                throttle.give_back(limit)
            return comment


def comment_put(
    *, request: ApprovalRequest, by: User, text: str, nonce: str, via: str, as_of: datetime
) -> tuple[Comment, bool]:
    """As `comment_add`, in the caller's transaction, which audits refusals, and without the rate
    limit; return the comment, and whether it is new. `text` is clean, the nonce not empty."""
    if not may_write(request, by):
        raise reading_refusal()
    # The request is not locked: its row does not change, and signers need not wait. Of two
    # concurrent calls with one nonce, the second waits on the unique index.
    comment, created = Comment.objects.get_or_create(
        request=request,
        author=by,
        nonce=nonce,
        defaults={"text": text, "created_at": as_of},
    )
    if not created:
        if comment.text != text:
            raise Conflict(_("This nonce came with another text."), code="nonce_reused")
        return comment, False
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
    return comment, True


def mentions_of(request: ApprovalRequest, text: str) -> list[User]:
    """Return the mentioned users who may see the request, at most MOST_MENTIONS, in an order that
    tells nothing about other users."""
    names = {name for found in MENTION.findall(text) for name in names_in(found)}
    people = may_see(request).filter(username__in=names)
    return list(people.order_by("username")[:MOST_MENTIONS])


def names_in(found: str) -> list[str]:
    """Return the candidates: `@ana.` at the end of a sentence may be ana, or a username with a
    dot."""
    names = [found]
    while names[-1] and names[-1][-1] in ".@+-":
        names.append(names[-1][:-1])
    return [name for name in names if name]


def may_see(request: ApprovalRequest) -> "QuerySet[User]":
    """Return everybody who may see the request: the set form of `visible_to`."""
    viewers = User.objects.with_perm(VIEW_PERMISSION, backend=PERMISSIONS_BACKEND)
    return User.objects.filter(is_active=True).filter(
        Q(pk__in=viewers.order_by().values("pk")) | Q(pk=request.requested_by_id)
    )


def _counted(by: User, about: dict[str, Any]) -> throttle.Limit:
    """Count the comment against the rate limit, before checking it: refused ones are audited
    too."""
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
            filled(
                _("At most {most} comments in {within} minutes: wait a minute.")
                if minutes == 1
                else _("At most {most} comments in {within} minutes: wait {minutes} minutes."),
                most=MOST_AT_ONCE,
                within=AT_ONCE_SECONDS // 60,
                minutes=minutes,
            ),
            code="too_many_comments",
            retry_after=refused.retry_after,
        )
    return limit


def _tell(request: ApprovalRequest, comment: Comment, *, by: User, mentioned: list[User]) -> None:
    url = f"{reverse('request', args=[request.pk])}#comment-{comment.pk}"
    notified = {by.pk} | {person.pk for person in mentioned}
    notify(
        key=f"comment:{comment.pk}:mentioned",
        recipients=[person for person in mentioned if person.pk != by.pk],
        kind="approval.mentioned",
        title=gettext("{by} mentioned you: {title}").format(by=by, title=request.title),
        text=comment.text[:EXCERPT],
        url=url,
    )
    others = may_see(request).filter(pk__in=_took_part(request) - notified)
    notify(
        key=f"comment:{comment.pk}:commented",
        recipients=list(others),
        kind="approval.commented",
        title=gettext("{by} commented: {title}").format(by=by, title=request.title),
        text=comment.text[:EXCERPT],
        url=url,
    )


def _took_part(request: ApprovalRequest) -> set[int]:
    """Return who asked, edited, signed (or was the authority), holds the claim, added evidence or
    commented."""
    people: set[int | None] = {request.requested_by_id, request.claimed_by_id}
    for actor, authority in Signature.objects.filter(request=request).values_list(
        "actor", "authority"
    ):
        people |= {actor, authority}
    people |= set(
        PayloadVersion.objects.filter(request=request).values_list("edited_by", flat=True)
    )
    people |= set(Evidence.objects.filter(request=request).values_list("uploaded_by", flat=True))
    # Use DISTINCT in the database: there may be very many comments.
    authors = Comment.objects.filter(request=request).order_by().values_list("author", flat=True)
    people |= set(authors.distinct())
    return {pk for pk in people if pk is not None}


def _text_of(text: str) -> str:
    text = validation.text_of(text, code="invalid_text").replace("\r\n", "\n").replace("\r", "\n")
    text = text.strip()
    if not text:
        raise Invalid(_("There is nothing in the comment."), code="comment_empty")
    if len(text) > TEXT_LIMIT:
        raise Invalid(
            filled(_("A comment has at most {text_limit:,} characters."), text_limit=TEXT_LIMIT),
            code="comment_too_long",
        )
    return text


def _nonce_of(nonce: str) -> str:
    nonce = validation.text_of(nonce, code="nonce_invalid").strip()
    if len(nonce) > NONCE_LIMIT:
        raise Invalid(
            filled(_("A nonce has at most {nonce_limit} characters."), nonce_limit=NONCE_LIMIT),
            code="nonce_invalid",
        )
    return nonce
