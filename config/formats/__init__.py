"""Formats of days and times, by language (FORMAT_MODULE_PATH)."""
