"""How the processes of this project load their code."""

import gc

#: Python's own is 700: a request or a step makes thousands of objects, nearly all of which die with
#: it, and half of the collector's looks would be at those in flight.
OBJECTS_BEFORE_A_LOOK = 20_000


def load_begin() -> None:
    """Pause the cyclic garbage collector until `load_end`.

    What modules make lives as long as the process. The collector would look through all of it
    again and again and free nothing, which takes a third of the time of a start.
    """
    gc.disable()


def load_end() -> None:
    """Let the collector work again, on what is made from now on: what was loaded is left out of
    every later collection, which makes their pauses shorter."""
    gc.freeze()
    gc.set_threshold(OBJECTS_BEFORE_A_LOOK, *gc.get_threshold()[1:])
    gc.enable()
