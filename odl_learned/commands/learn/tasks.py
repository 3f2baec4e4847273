"""What ``learn alpha`` simulates: the operator of a scan, and images of a folder on its grid."""

from collections.abc import Callable
from typing import Any, NamedTuple

from odl_learned.commands import scan_files
from odl_learned.commands.learn import images as folders


class Task(NamedTuple):
    """An operator, and images that are measured with it."""

    forward_op: Any
    truth: dict  #: elements of its domain, by the names of their files
    noise_level: float
    picture: Callable  #: from an element to an array in the orientation of ODL


def task_of(arguments, rng):
    """Return the task that the arguments of ``learn alpha`` describe.

    Raises
    ------
    ValueError
        That names the option that is missing, or has no place, and what else does not fit.
    """
    from odl_learned.validation import require_positive

    if arguments.noise_level is not None:
        require_positive("--noise-level", arguments.noise_level)
    elif arguments.operator != "fastmri":
        raise ValueError("--noise-level is not given; expected the standard deviation of the noise "
                         "in the unit of the data.")
    return (denoising if arguments.operator == "denoising" else scanned)(arguments, rng)


def denoising(arguments, rng):
    """The images themselves, with pixels of side one."""
    import odl

    for name in ("scan", "geometry", "settings", "scan_key", "scan_index"):
        if getattr(arguments, name):
            option = "--set" if name == "settings" else "--" + name.replace("_", "-")
            raise ValueError(f"{option} is given; expected none for denoising, which measures the "
                             "images themselves.")
    arrays = folders.as_they_are(folders.in_unit(read(arguments), arguments.scale))
    shape = next(iter(arrays.values())).shape
    space = odl.uniform_discr([0, 0], shape, shape)
    truth = {name: space.element(array) for name, array in arrays.items()}
    return Task(odl.IdentityOperator(space), truth, arguments.noise_level, lambda x: x.data)


def scanned(arguments, rng):
    """Images on the grid of the picture that a scan is reconstructed on."""
    from odl_learned import data

    if arguments.scan is None:
        raise ValueError("--scan is not given; expected a measured file as for `odl-learned "
                         f"reconstruct --operator {arguments.operator}`, which tells what is "
                         "measured; its values do not matter.")
    geometry = scan_files.read_geometry(arguments.geometry, arguments.settings)
    scan = scan_files.OPERATORS[arguments.operator](
        arguments.scan, arguments.scan_key, arguments.scan_index, geometry)  # fmt: skip
    level = scan.noise_level
    if arguments.noise_level is not None:
        level = arguments.noise_level / scan.scale
    space = scan.forward_op.domain
    if arguments.operator == "fastmri":
        if arguments.scale is not None:
            raise ValueError(f"--scale is {arguments.scale:g}; expected none for k-space, where "
                             "each image is divided by its largest value.")
        arrays = {name: image.array for name, image in read(arguments).items()}
        arrays = {name: data.to_rows(array) for name, array in folders.over_largest(arrays).items()}
        truth = {name: space.element(array) * data.smooth_phase(space, rng)
                 for name, array in folders.on_grid(arrays, space.shape).items()}
    else:
        arrays = folders.in_unit(read(arguments), arguments.scale)
        truth = {name: space.element(array)
                 for name, array in folders.on_grid(arrays, space.shape).items()}
        name, first = next(iter(truth.items()))
        scan_files.told_of_thickness(scan.forward_op(first).asarray(), name)
    return Task(scan.forward_op, truth, level, lambda x: data.from_rows(scan.picture(x)))


def read(arguments):
    """The images of the folder."""
    return folders.read_folder(arguments.folder, arguments.count, arguments.key, arguments.index)
