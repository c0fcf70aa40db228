"""Participants that are ours, for every test of Pix keys."""

from apps.pix.models import Participant
from tests.directory import OTHER, OURS


def participants(*ispbs: str) -> None:
    """Make these participants ours; without any, both of the demo's."""
    for ispb in ispbs or (OURS, OTHER):
        Participant.objects.update_or_create(ispb=ispb, defaults={"ours": True})
