"""Pages of the reference: one for each room, and one for each public name.

They are made anew before every build, in ``docs/generated/reference``, from the faces of the rooms.
"""

import importlib
import inspect
import pkgutil
import shutil
from pathlib import Path

import thumbnails
import uses

import odl_learned

ROOT = Path(__file__).resolve().parents[2]
ROOM = """{line}
{title}
{line}

.. automodule:: {module}

.. list-table::
   :widths: 30 70

{entries}
"""
#: Pages of names are reached from their room: thousands of lines less beside every page.
NAME = """:orphan:

{title}
{line}

.. currentmodule:: {module}

.. auto{kind}:: {name}{options}
{used}"""
#: Longest list of uses that is shown.
MOST = 12


def summary(obj):
    """First paragraph of a docstring, on one line."""
    text = inspect.getdoc(obj) or ""
    return " ".join(text.partition("\n\n")[0].split())


def rooms():
    """Names of modules below the package that have a face, ``__all__``, those above first."""
    found = []
    for each in pkgutil.walk_packages(odl_learned.__path__, "odl_learned."):
        if each.name.rpartition(".")[2].startswith("_") or "demo" in each.name:
            continue
        if hasattr(importlib.import_module(each.name), "__all__"):
            found.append(each.name)
    return sorted(found, key=lambda module: (module.count("."), module))


def public(module):
    """Public names of a room that are not rooms themselves."""
    return [name for name in importlib.import_module(module).__all__
            if not inspect.ismodule(getattr(importlib.import_module(module), name))]


def used_in(name, places):
    """The part of a page that says which tutorials, scripts and examples of others use the name.

    Parameters
    ----------
    name : str
        ``"bridge.as_module"``.
    places : list of str
        Of `uses.uses`.
    """
    pages, scripts, others = [], [], []
    for place in places:
        if place == "README.md":
            pages.append("/index")
        elif place.startswith("docs/"):
            pages.append("/" + place.removeprefix("docs/").removesuffix(".md"))
        elif place.startswith("examples/"):
            stem = thumbnails.stem(place.removeprefix("examples/").removesuffix(".py"))
            if "SIZES = " in (ROOT / place).read_text(encoding="utf-8"):
                scripts.append(stem)
        elif place != name:
            room, _, last = place.rpartition(".")
            others.append(f"/generated/reference/{room}/{last}")
    drawn = [stem for stem in scripts if (thumbnails.FOLDER / f"{stem}.webp").is_file()]
    undrawn = [f"/generated/gallery/{stem}" for stem in scripts if stem not in drawn]
    groups = (("Pages", pages), ("Scripts", undrawn), ("Examples of", others))
    lines = [f"- {title}: " + ", ".join(f":doc:`{each}`" for each in found[:MOST])
             + (f" and {len(found) - MOST} more" if len(found) > MOST else "")
             for title, found in groups if found]  # fmt: skip
    if drawn:
        lines += ["", ".. container:: gallery", ""]
    for stem in drawn[:MOST]:
        lines += [f"   .. figure:: /images/gallery/{stem}.webp",
                  f"      :target: ../../gallery/{stem}.html", "      :alt:", "",
                  f"      :doc:`/generated/gallery/{stem}`", ""]  # fmt: skip
    return "\n.. rubric:: Used in\n\n" + "\n".join(lines) + "\n" if lines else ""


def write_pages(folder):
    """Write all pages into a folder, which is emptied before."""
    shutil.rmtree(folder, ignore_errors=True)
    modules, described = rooms(), set()
    used = uses.uses(ROOT, {
        f"{module.removeprefix('odl_learned.')}.{name}":
        getattr(importlib.import_module(module), name)
        for module in modules for name in public(module)})  # fmt: skip
    for module in modules:
        title = module.removeprefix("odl_learned.")
        place = folder / title
        place.mkdir(parents=True)
        entries = []
        for name in public(module):
            obj = getattr(importlib.import_module(module), name)
            kind = ("exception" if inspect.isclass(obj) and issubclass(obj, BaseException) else
                    "class" if inspect.isclass(obj) else
                    "function" if callable(obj) else "data")  # fmt: skip
            options = "\n   :members:" if kind == "class" else ""
            if id(obj) in described and kind != "data":  # linked to where it was described first
                options += "\n   :no-index:"
            described.add(id(obj))
            page = NAME.format(title=name, line="=" * len(name), module=module, kind=kind,
                               name=name, options=options,
                               used=used_in(f"{title}.{name}", used[f"{title}.{name}"]))
            (place / f"{name}.rst").write_text(page, encoding="utf-8")
            entries += [f"   * - :doc:`{title}/{name}`",
                        f"     - {'' if kind == 'data' else summary(obj)}"]
        (folder / f"{title}.rst").write_text(ROOM.format(
            title=title, line="=" * len(title), module=module, entries="\n".join(entries)),
            encoding="utf-8")
    entries = "\n".join(f"   {module.removeprefix('odl_learned.')}" for module in sorted(modules))
    (folder / "index.rst").write_text(
        "Reference\n=========\n\nEvery public name, by the room that it is imported from.\n\n"
        f".. toctree::\n   :maxdepth: 1\n\n{entries}\n", encoding="utf-8")


def generate(app):
    """Write the pages before Sphinx looks for them."""
    write_pages(Path(app.srcdir) / "generated" / "reference")


def setup(app):
    """Called by Sphinx."""
    app.connect("builder-inited", generate)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
