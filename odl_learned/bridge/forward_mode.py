"""Forward mode over forward mode through autograd functions.

Torch runs the ``jvp`` of a `torch.autograd.Function` with forward mode switched off. In
``torch.func.jvp`` of ``torch.func.jvp`` the tangents of the outer level are then lost in whatever
the inner rule computes by plain operations: second derivatives of this kind, as by ``jacfwd`` of
``jacfwd``, are zero without a word (torch 2.13, pytorch issue 197867). Switched on again, the outer
tangents pass; those of the level of the rule itself, which saved tensors still carry, are cut off.
"""

import functools

from torch.autograd import forward_ad


def jvp_rule(rule):
    """Decorate the ``jvp`` of an autograd function, so that it may be differentiated forward.

    Parameters
    ----------
    rule : callable
        ``rule(ctx, saved, *tangents)``, with ``saved`` in place of ``ctx.saved_tensors``.

    Returns
    -------
    jvp : callable
        ``jvp(ctx, *tangents)``, a static method of the function.
    """
    @functools.wraps(rule)
    def jvp(ctx, *tangents):
        with forward_ad._set_fwd_grad_enabled(True):
            saved = (forward_ad.unpack_dual(t, level=0).primal for t in ctx.saved_tensors)
            return rule(ctx, tuple(saved), *tangents)

    return jvp
