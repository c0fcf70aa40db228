"""Admin of Pix keys, by noun: read-only, workflows own the rows."""

from apps.pix.admin import claims, entries, infractions, syncs

__all__ = ["claims", "entries", "infractions", "syncs"]
