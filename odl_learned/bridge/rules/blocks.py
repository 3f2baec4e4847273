"""Lowering rules for maps between product spaces: blocks, broadcasts, reductions, projections."""

import odl
from odl.core.operator.pspace_ops import ComponentProjectionAdjoint
from torch import nn

from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.layouts.nested import each
from odl_learned.bridge.lowering import lower


class Broadcast(nn.Module):
    """``x -> (A_1 x, ..., A_n x)``."""

    def __init__(self, operators, target):
        super().__init__()
        self.operators, self.target = nn.ModuleList(operators), target

    def forward(self, x):
        return self.target.join([op(x) for op in self.operators])


class Reduction(nn.Module):
    """``(x_1, ..., x_n) -> A_1 x_1 + ... + A_n x_n``, also for functionals."""

    def __init__(self, operators, source):
        super().__init__()
        self.operators, self.source = nn.ModuleList(operators), source

    def forward(self, x):
        return _total([op(part) for op, part in zip(self.operators, self.source.split(x))])


class Blocks(nn.Module):
    """A matrix of operators: ``y_i = sum_j A_ij x_j``; entries that are not given are zero."""

    def __init__(self, rows, source, target, row_layouts):
        super().__init__()
        self.columns = [[j for j, _ in row] for row in rows]
        self.rows = nn.ModuleList(nn.ModuleList(op for _, op in row) for row in rows)
        self.source, self.target, self.row_layouts = source, target, row_layouts

    def forward(self, x):
        parts = self.source.split(x)
        entries = []
        for row, columns, layout in zip(self.rows, self.columns, self.row_layouts):
            if columns:
                entries.append(_total([op(parts[j]) for j, op in zip(columns, row)]))
            else:
                entries.append(layout.zeros(self.source.batch_shape(x), _device(x)))
        return self.target.join(entries)


class Projection(nn.Module):
    """``x -> x_i``, or ``x -> (x_i)_{i in I}``."""

    def __init__(self, index, source, target, single):
        super().__init__()
        self.index, self.source, self.target, self.single = index, source, target, single

    def forward(self, x):
        parts = self.source.split(x)
        if self.single:
            return parts[self.index[0]]
        return self.target.join([parts[i] for i in self.index])


class Embedding(nn.Module):
    """The opposite of a projection: ``x_i`` in place, zeros elsewhere."""

    def __init__(self, index, source, target, single, part_layouts):
        super().__init__()
        self.index, self.source, self.target, self.single = index, source, target, single
        self.part_layouts = part_layouts

    def forward(self, x):
        lead = self.source.batch_shape(x)
        given = [x] if self.single else self.source.split(x)
        parts = [layout.zeros(lead, _device(x)) for layout in self.part_layouts]
        for i, part in zip(self.index, given):
            parts[i] = part
        return self.target.join(parts)


@lower.register
def _(op: odl.BroadcastOperator):
    return Broadcast([lower(part) for part in op.operators], layout_of(op.range))


@lower.register
def _(op: odl.ReductionOperator):
    return Reduction([lower(part) for part in op.operators], layout_of(op.domain))


@lower.register
def _(op: odl.functionals.SeparableSum):
    return Reduction([lower(part) for part in op.functionals], layout_of(op.domain))


@lower.register
def _(op: odl.ProductSpaceOperator):
    rows: list[list] = [[] for _ in range(len(op.range))]
    for i, j, entry in zip(op.ops.row, op.ops.col, op.ops.data):
        rows[int(i)].append((int(j), lower(entry)))
    return Blocks(rows, layout_of(op.domain), layout_of(op.range),
                  [layout_of(part) for part in op.range.spaces])


@lower.register
def _(op: odl.ComponentProjection):
    index, single = _indices(op.index, len(op.domain))
    return Projection(index, layout_of(op.domain), layout_of(op.range), single)


@lower.register
def _(op: ComponentProjectionAdjoint):
    index, single = _indices(op.index, len(op.range))
    return Embedding(index, layout_of(op.domain), layout_of(op.range), single,
                     [layout_of(part) for part in op.range.spaces])


def _indices(index, length):
    """The positions that an index names, and whether it is a single one."""
    if isinstance(index, (int, slice)):
        chosen = range(length)[index]
        return ([chosen], True) if isinstance(chosen, int) else (list(chosen), False)
    return [range(length)[i] for i in index], False


def _total(values):
    total = values[0]
    for value in values[1:]:
        total = each(lambda a, b: a + b, total, value)
    return total


def _device(x):
    return _device(x[0]) if isinstance(x, tuple) else x.device
