"""``odl-learned doctor``: what is installed, what is repaired, and what this machine has."""

import importlib.metadata
import json
import os
import platform

#: What the package stands on, and what is optional with the extra that brings it.
REQUIRED = ("odl_learned", "odl", "torch", "numpy", "scipy", "astra-toolbox", "PyWavelets",
            "matplotlib", "tqdm", "threadpoolctl")  # fmt: skip
OPTIONAL = {"numba": "fast", "pydicom": "dicom", "python-gdcm": "dicom", "h5py": "hdf5",
            "nibabel": "nifti", "pillow": "pictures", "tifffile": "pictures",
            "pydicom-data": "demo", "Py-BOBYQA": "dfo"}  # fmt: skip


def add(commands):
    """Add the parser."""
    parser = commands.add_parser(
        "doctor", help="print versions, repairs of ODL, threads, GPU and features of ASTRA")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.set_defaults(run=run)


def run(arguments):
    """Print what is found; the status is 1 if something that the package needs is missing."""
    found, faults = examine()
    if arguments.json:
        print(json.dumps(found | {"faults": faults}, indent=2))
    else:
        width = max(map(len, found))
        for name, value in found.items():
            print(f"{name:<{width}}  {missing(name) if value is None else value}")
        print("\n".join(f"fault: {fault}" for fault in faults) or "no faults found")
    return 1 if faults else 0


def examine():
    """Return what is found, a dictionary of texts and numbers, and a list of faults."""
    import odl
    import threadpoolctl
    import torch

    from odl_learned.odl_fixes import registry

    found = {"python": platform.python_version(), "machine": platform.machine()}
    found |= {name: version_of(name) for name in (*REQUIRED, *OPTIONAL)}
    faults = [f"{name} is not installed: pip install {name}"
              for name in REQUIRED if found[name] is None]

    applied = len(registry.applied)
    found["repairs of ODL"] = f"{applied} of {len(registry.REPAIRS)}"
    if applied < len(registry.REPAIRS):
        why = (f"{registry.SWITCH}=0 is set" if os.environ.get(registry.SWITCH) == "0" else
               f"ODL is {odl.__version__}, they are for {registry.ODL_VERSION}")  # fmt: skip
        faults.append(f"not all repairs of ODL are in place: {why}")

    found["cores"] = available_cores()
    found["threads of torch"] = torch.get_num_threads()
    found["threads of BLAS and OpenMP"] = ", ".join(
        f"{pool['internal_api']} {pool['num_threads']}" for pool in threadpoolctl.threadpool_info())
    found["GPU of torch"] = (torch.cuda.get_device_name() if torch.cuda.is_available() else "none")
    found["projectors of ASTRA"] = projectors(faults)
    return found, faults


def missing(name):
    """What is said of a distribution that is not installed."""
    how = f': pip install "odl_learned[{OPTIONAL[name]}]"' if name in OPTIONAL else ""
    return f"not installed{how}"


def version_of(name):
    """The version of an installed distribution, or None."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def available_cores():
    """How many cores this process may use, which may be less than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def projectors(faults):
    """What ASTRA can project on; a fault if it cannot be loaded."""
    try:
        import astra
    except ImportError as error:
        faults.append(f"ASTRA cannot be loaded: {error}")
        return "none"
    return ("2D on CPU, 2D and 3D on CUDA" if astra.use_cuda() else
            "2D on CPU; cone beams by loops of this package")  # fmt: skip
