"""The compiler of loops: numba, which is an extra, imported when the first loop runs."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Value = TypeVar("Value")


@functools.cache
def is_available() -> bool:
    """Whether loops can be compiled: numba is installed, works with this numpy, and is not off."""
    try:
        import numba
    except ImportError:
        return False
    return not numba.config.DISABLE_JIT


def compiled(function: Callable[Arguments, Value]) -> Callable[Arguments, Value]:
    """Return a function compiled at its first call, without the lock of the interpreter.

    Floats are added and multiplied as they are written: nothing is reordered, no product and sum
    rounds once instead of twice, so that results have the bits of numpy's. Machine code is kept on
    disk beside the source or in the cache folder of the user, if one of them may be written.

    Parameters
    ----------
    function : callable
        In the subset of Python that numba compiles.
    """
    return _built(function)


def compiled_in_vectors(
    *signatures: object,
) -> Callable[[Callable[Arguments, Value]], Callable[Arguments, Value]]:
    """Compile as `compiled` for these signatures, at once: what stands side by side is one vector.

    numba leaves that out, unless it is told otherwise for all that is compiled.
    """
    import numba

    def compile_now(function: Callable[Arguments, Value]) -> Callable[Arguments, Value]:
        config = numba.core.config
        before, config.SLP_VECTORIZE = config.SLP_VECTORIZE, 1
        try:
            return _built(function, signatures)
        finally:
            config.SLP_VECTORIZE = before

    return compile_now


def _built(function, signatures=()):
    import numba

    # "numpy": division by zero is infinite and not checked, which vectors of numbers need
    build = functools.partial(numba.njit, *([list(signatures)] if signatures else ()), nogil=True,
                              error_model="numpy", fastmath=False)  # fmt: skip
    try:
        return build(cache=True)(function)
    except RuntimeError:  # no folder may be written
        return build()(function)
