"""Workflow helper: signals as wake-ups. A signal says that a row has changed, never what."""

from apps.engine.contracts import SignalEnvelope

#: The most ids kept for one look; further signals only wake the run.
MOST = 100


class Wakeups:
    """The ids of the signals received since the row was last read."""

    def __init__(self) -> None:
        self._pending: set[str] = set()
        self._kept: set[str] = set()
        self._woken = False

    def wake(self, envelope: SignalEnvelope) -> None:
        """Note a signal; called by its handler. The same id wakes once."""
        if envelope.command in self._pending or envelope.command in self._kept:
            return
        self._woken = True
        if len(self._pending) < MOST:
            self._pending.add(envelope.command)

    def woken(self) -> bool:
        """Return whether the row should be read again."""
        return self._woken

    def take(self) -> tuple[str, ...]:
        """Return the ids since the last call, sorted, and forget them; see `keep`."""
        self._woken = False
        taken, self._pending = tuple(sorted(self._pending)), set()
        return taken

    def keep(self, signals: tuple[str, ...]) -> None:
        """Remember these ids, because they changed something: they wake no more.

        Ids that changed nothing stay forgotten. Otherwise a forged signal could use up the id of a
        real one.
        """
        self._kept.update(signals)
