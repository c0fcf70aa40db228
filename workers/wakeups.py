"""Workflow helper: signals as wake-ups. A signal says that a row has changed, never what."""

from apps.engine.contracts import SignalEnvelope

#: Named in one look; of more than these a run is only woken.
MOST = 100


class Wakeups:
    """The ids of the signals that came in since the row was last read."""

    def __init__(self) -> None:
        self._pending: set[str] = set()
        self._kept: set[str] = set()
        self._woken = False

    def wake(self, envelope: SignalEnvelope) -> None:
        """Called by the signal's handler. The same id twice wakes once."""
        if envelope.command in self._pending or envelope.command in self._kept:
            return
        self._woken = True
        if len(self._pending) < MOST:
            self._pending.add(envelope.command)

    def woken(self) -> bool:
        """Whether there is a reason to read the row again."""
        return self._woken

    def take(self) -> tuple[str, ...]:
        """The ids since the last look, sorted; they are forgotten, see `keep`."""
        self._woken = False
        taken, self._pending = tuple(sorted(self._pending)), set()
        return taken

    def keep(self, signals: tuple[str, ...]) -> None:
        """These changed something: the same ids wake no more.

        Ids that changed nothing stay forgotten. Otherwise a forged signal could use up the id of a
        real one.
        """
        self._kept.update(signals)
