r"""Whether a module keeps the samples of a batch apart, measured where a module meets a space.

A module ``M`` on batches stands for one map ``m``: ``M(x_1, x_2) = (m(x_1), m(x_2))``. A network
that takes the batch axis for an axis of the image, or batch normalization in training mode, mixes
samples without a word. Two different samples tell: the second must have the same values behind the
first as alone, up to what algorithms for other sizes round differently,

.. math:: |M(x_1, x_2)_2 - M(x_2)| \le t \, |M(x_2)| .

Whatever mixes does so in this direction: convolutions, means, and recurrences that take the batch
for time. The samples differ in size, as those of one mean and variance hide a normalization.

Networks often begin with a last layer or a gate of zeros, and nothing is seen of what is behind.
For the comparison, parameters that are zero or nearly so are replaced by random numbers: whether
samples mix is a matter of axes, not of these values.

The limit of an iteration stops at a residual far above rounding, or not at all, with random numbers
in its network. It keeps samples apart if one step does: a module may name another one,
``compared_by``, that is evaluated in its place.

These are two evaluations without gradients, on one image and on two. They leave random states,
parameters and buffers as they are.
"""

import contextlib
import sys
from collections.abc import Iterator

import torch
from torch import nn

from odl_learned.bridge.layouts.nested import each
from odl_learned.bridge.layouts.random_states import kept_random_states

#: Parameters below this may hide what is behind them.
HIDDEN = 1e-3
#: What torch calls a failed allocation on a CPU, where it is no OutOfMemoryError.
_NO_MEMORY = ("can't allocate memory", "not enough memory")


def require_samples_apart(module: torch.nn.Module, first, second) -> None:
    """Raise ValueError if a module maps a sample of a batch otherwise than the sample alone.

    It is evaluated in the modes that its parts are in. A module that cannot be evaluated on one
    sample is left alone, since it says so itself when it is used; so is one that is random in
    evaluation mode, such as a sampler, for which nothing can be compared.

    Parameters
    ----------
    module : nn.Module
        Maps ``(*batch, *shape)``, or a tuple of such tensors, to tensors with the batch axes.
    first, second : tensor of shape ``shape``, or nested tuple of tensors
        Two different samples, on the device and in the dtype of the module.

    Raises
    ------
    ValueError
        If the difference is more than rounding, or the module fails on a batch of two only; or if
        it fails, is random or mixes samples in training mode only.
    """
    name, module = type(module).__name__, getattr(module, "compared_by", module)
    if any(nn.parameter.is_lazy(p) for p in module.parameters()):
        return
    tolerance = _tolerance(first)
    found = _compare(module, first, second)
    if found.difference <= tolerance:
        return
    parts = _in_training(module)
    with evaluation_mode(module):
        cured = _compare(module, first, second) if parts else found
        if cured.difference <= tolerance:
            raise ValueError(
                f"{name} is in training mode and {found.said(tolerance)}; in evaluation mode it "
                f"does not. What trains ({', '.join(parts)}) couples samples or is random: call "
                "module.eval() first."
            )
        if cured.alone_fails or _is_random(module, first, tolerance):
            return
    raise ValueError(
        f"{name} {cured.said(tolerance)}. Some axis of the batch is taken for one of the image: "
        "pass networks.OnImages and reconstruction.MemoryStep the dimension of the space, "
        "len(space.shape), take the trailing axes only, and do not normalize over the batch."
    )


def require_samples_of_space_apart(module: torch.nn.Module, layout) -> None:
    """`require_samples_apart` for random samples of a layout, uniform in [0, 1] and [0, 1/4]."""
    generator = torch.Generator().manual_seed(0)
    device = next((t.device for t in (*module.parameters(), *module.buffers())), None)
    if device is None or device.type != "meta":
        samples = [_uniform(layout, size, generator, device) for size in (1.0, 0.25)]
        require_samples_apart(module, *samples)


@contextlib.contextmanager
def evaluation_mode(module: torch.nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode, as a context that restores the mode of every part."""
    earlier = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, was_training in earlier:
            part.training = was_training


class _Comparison:
    """The relative difference; infinite if the module failed, and whether on one sample."""

    def __init__(self, difference, failure="", alone_fails=False):
        self.difference, self.failure, self.alone_fails = difference, failure, alone_fails

    def said(self, tolerance):
        if self.failure:
            where = "one sample" if self.alone_fails else "a batch of two samples"
            return f"fails on {where} ({self.failure})"
        return (
            "maps a sample in a batch of two to something else than the sample alone: the relative "
            f"difference is {self.difference:.2g}, expected at most {tolerance:.1g}"
        )


def _compare(module, first, second):
    shown = _shown(module)
    found = _compare_with(module, shown, first, second)
    return _compare_with(module, {}, first, second) if found.alone_fails and shown else found


def _compare_with(module, shown, first, second):
    try:
        alone = _evaluate(module, shown, each(lambda x: x.unsqueeze(0), second))
    except Exception as error:  # of a module of which nothing is known
        return _Comparison(float("inf"), _line(error), alone_fails=True)
    if any(y.shape[:1] != (1,) for y in alone):
        return _Comparison(float("inf"), "the output has no batch axis", alone_fails=True)
    try:
        both = _evaluate(module, shown, each(lambda *xs: torch.stack(xs), first, second))
    except Exception as error:
        no_memory = any(words in str(error) for words in _NO_MEMORY)
        if no_memory or isinstance(error, (torch.OutOfMemoryError, MemoryError)):
            return _Comparison(0.0)
        return _Comparison(float("inf"), _line(error))
    if [y.shape for y in both] != [(2, *y.shape[1:]) for y in alone]:
        shapes = ", ".join(str(tuple(y.shape)) for y in both)
        return _Comparison(float("inf"), f"they are mapped to the shape {shapes}")
    return _Comparison(_relative([y[1] for y in both], [y[0] for y in alone]))


def _evaluate(module, shown, x, seed=None):
    """The tensors of ``module(x)`` with some parameters shown; nothing is changed by it."""
    devices = {t.device for t in _tensors(x)}
    buffers = {}
    if any(part.training for part in module.modules()):
        clones = {id(buffer): buffer.clone() for buffer in module.buffers()}
        buffers = {name: clones[id(b)] for name, b in _places(module, nn.Module.named_buffers)}
    with torch.no_grad(), uncompiled(), kept_random_states(devices, seed):
        if any(isinstance(part, torch.jit.ScriptModule) for part in module.modules()):
            try:  # nothing can be put in the place of its tensors
                return _tensors(module(x))
            finally:
                for name, buffer in module.named_buffers():
                    buffer.copy_(buffers.get(name, buffer))
        replaced = shown | buffers
        if not replaced:
            return _tensors(module(x))
        # Every place has one name here. Torch's own search for further names of a part would find
        # one that is used several times again, and leave the numbers in it (pytorch issue 164759).
        return _tensors(torch.func.functional_call(module, replaced, (x,), tie_weights=False))


def uncompiled() -> contextlib.AbstractContextManager:
    """Compiled parts run as they were written, instead of being compiled for a batch of two."""
    if "torch._dynamo" not in sys.modules:
        return contextlib.nullcontext()
    return torch.compiler.set_stance("force_eager")


def _shown(module):
    """Random numbers in the place of the parameters that are next to zero.

    Weights have the variance that keeps signals at their size; what has one axis or none, such as
    gates, is positive. A part that is used several times has one name, a parameter that several
    parts share one for each of them.
    """
    generator, shown, known = torch.Generator().manual_seed(0), {}, {}
    for name, p in _places(module, nn.Module.named_parameters):
        if id(p) in known:
            shown[name] = known[id(p)]
        elif p.numel() and p.abs().max() <= HIDDEN:
            values = torch.randn(p.shape, generator=generator, dtype=torch.float64)
            values = values * p[0].numel() ** -0.5 if p.ndim > 1 else 0.5 * values.abs()
            known[id(p)] = shown[name] = values.to(device=p.device, dtype=p.dtype)
    return shown


def _places(module, named):
    """Name and tensor of every place of a tensor: one name for each part, however often it is used.
    """
    return [(f"{path}.{name}".lstrip("."), tensor) for path, part in module.named_modules()
            for name, tensor in named(part, recurse=False, remove_duplicate=False)]


def _is_random(module, sample, tolerance):
    """Whether evaluations of one sample differ."""
    x, shown = each(lambda x: x.unsqueeze(0), sample), _shown(module)
    first, *others = (_evaluate(module, shown, x, seed) for seed in range(4))
    return any(_relative(other, first) > tolerance for other in others)


def _relative(found, expected):
    """``|found - expected| / |expected|``; values that are not finite count if they differ."""
    error = size = 0.0
    for y, reference in zip(found, expected):
        wide = torch.complex128 if reference.is_complex() else torch.float64
        y, reference = y.to(wide), reference.to(wide)
        differ = ~((y == reference) | (y.isnan() & reference.isnan()))
        error += float((y - reference)[differ].abs().square().sum())
        size += float(reference[reference.isfinite()].abs().square().sum())
    if error == 0:
        return 0.0
    ratio = (error / size) ** 0.5 if size > 0 else float("inf")
    return ratio if ratio == ratio else float("inf")


def _tolerance(sample):
    """Far above rounding, also that of devices which convolve with half of the digits."""
    x = _tensors(sample)[0]
    least = 1e-3 if x.device.type == "cpu" else 1e-2
    is_float = x.dtype.is_floating_point or x.dtype.is_complex
    return max(least, 16 * torch.finfo(x.dtype).eps) if is_float else least


def _in_training(module):
    """Kinds of parts in training mode, those that couple samples or are random if there are any."""
    training = [part for part in module.modules() if part.training]
    kinds = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)
    known = [part for part in training if isinstance(part, kinds)]
    return sorted({type(part).__name__ for part in known or training})


def _uniform(layout, size, generator, device):
    if hasattr(layout, "parts"):
        return tuple(_uniform(part, size, generator, device) for part in layout.parts)
    values = size * torch.rand(layout.shape, generator=generator, dtype=torch.float64)
    if layout.dtype.is_complex:
        imaginary = torch.rand(layout.shape, generator=generator, dtype=torch.float64)
        values = torch.complex(values, size * imaginary)
    elif not layout.dtype.is_floating_point:
        values = 10 * values
    return values.to(device=device, dtype=layout.dtype)


def _tensors(x):
    """The tensors of a nested tuple or list, in order."""
    if isinstance(x, torch.Tensor):
        return [x]
    if not isinstance(x, (tuple, list)):
        raise TypeError(f"a {type(x).__name__} came out, expected a tensor or a tuple of tensors")
    return [t for part in x for t in _tensors(part)]


def _line(error):
    return " ".join(str(error).split())[:200] or type(error).__name__
