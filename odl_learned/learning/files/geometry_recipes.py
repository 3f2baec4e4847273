"""Geometries of ray transforms as plain data, and back."""

import odl
import torch
from odl.applications import tomo

from odl_learned.odl_validation import shown


def describe_geometry(geometry: tomo.Geometry) -> dict:
    """Return the recipe of parallel beams in the plane or in space, or of a flat fan or cone beam.

    Raises
    ------
    TypeError
        If it is another one.
    """
    recipe = {"kind": type(geometry).__name__, "angles": _partition(geometry.motion_partition),
              "translation": _numbers(geometry.translation)}
    if type(geometry) is tomo.Parallel3dAxisGeometry:
        return recipe | {"detector": [_partition(geometry.det_partition.byaxis[i]) for i in (0, 1)],
                         "axis": _numbers(geometry.axis),
                         "det_axes_init": [_numbers(axis) for axis in geometry.det_axes_init],
                         "det_pos_init": _position(geometry)}
    if type(geometry) is tomo.ConeBeamGeometry and geometry.det_curvature_radius is None:
        return recipe | {"detector": [_partition(geometry.det_partition.byaxis[i]) for i in (0, 1)],
                         "axis": _numbers(geometry.axis),
                         "det_axes_init": [_numbers(axis) for axis in geometry.det_axes_init],
                         "src_to_det_init": _numbers(geometry.src_to_det_init),
                         "src_radius": float(geometry.src_radius),
                         "det_radius": float(geometry.det_radius),
                         "pitch": float(geometry.pitch),
                         "offset_along_axis": float(geometry.offset_along_axis)}
    if type(geometry) in (tomo.Parallel2dGeometry, tomo.FanBeamGeometry):
        recipe |= {"detector": _partition(geometry.det_partition),
                   "det_axis_init": _numbers(geometry.det_axis_init)}
    if type(geometry) is tomo.Parallel2dGeometry:
        return recipe | {"det_pos_init": _position(geometry)}
    if type(geometry) is tomo.FanBeamGeometry and geometry.det_curvature_radius is None:
        return recipe | {"src_radius": float(geometry.src_radius),
                         "det_radius": float(geometry.det_radius),
                         "src_to_det_init": _numbers(geometry.src_to_det_init)}
    raise TypeError(f"the geometry {shown(geometry)} cannot be stored; expected parallel beams, or "
                    "a fan or cone beam with a flat detector.")


def build_geometry(recipe: dict) -> tomo.Geometry:
    """Return the geometry of a recipe of `describe_geometry`."""
    angles, translation = _build_partition(recipe["angles"]), recipe["translation"]
    if recipe["kind"] == "Parallel3dAxisGeometry":
        across, along = map(_build_partition, recipe["detector"])
        return tomo.Parallel3dAxisGeometry(
            angles, across.append(along), recipe["axis"], translation=translation,
            det_axes_init=recipe["det_axes_init"], det_pos_init=tuple(recipe["det_pos_init"]))
    if recipe["kind"] == "ConeBeamGeometry":
        across, along = map(_build_partition, recipe["detector"])
        return tomo.ConeBeamGeometry(
            angles, across.append(along), recipe["src_radius"], recipe["det_radius"],
            pitch=recipe["pitch"], axis=recipe["axis"], translation=translation,
            offset_along_axis=recipe["offset_along_axis"], det_axes_init=recipe["det_axes_init"],
            src_to_det_init=recipe["src_to_det_init"])
    parts = angles, _build_partition(recipe["detector"])
    options = {"det_axis_init": recipe["det_axis_init"], "translation": translation}
    if recipe["kind"] == "Parallel2dGeometry":
        return tomo.Parallel2dGeometry(*parts, det_pos_init=recipe["det_pos_init"], **options)
    return tomo.FanBeamGeometry(*parts, src_radius=recipe["src_radius"],
                                det_radius=recipe["det_radius"],
                                src_to_det_init=recipe["src_to_det_init"], **options)


def _position(geometry):
    return _numbers(geometry.det_pos_init - geometry.translation)


def _numbers(vector):
    return [float(t) for t in vector]


def _partition(partition):
    return {"min": float(partition.min_pt[0]), "max": float(partition.max_pt[0]),
            "points": torch.tensor(partition.grid.coord_vectors[0])}


def _build_partition(recipe):
    low, high, points = recipe["min"], recipe["max"], recipe["points"].numpy()
    uniform = odl.uniform_partition(low, high, len(points))
    if (uniform.grid.coord_vectors[0] == points).all():
        return uniform
    return odl.RectPartition(odl.IntervalProd(low, high), odl.RectGrid(points))
