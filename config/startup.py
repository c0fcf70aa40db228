"""How the processes of this project load their code."""

import gc


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
    gc.enable()
