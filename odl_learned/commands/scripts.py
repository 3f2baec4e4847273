"""Scripts of examples and figures, read without running them: name, claim, and what they take."""

import ast
import dataclasses
import hashlib
import inspect
import re
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Script:
    """One script that draws a figure and asserts its claim.

    Parameters
    ----------
    name : str
        Path below the folder of examples, without its ending.
    path : Path
    title : str
        First sentence of the docstring.
    claim : str
        What it asserts: its row in ``docs/examples.md`` beside the folder of examples, or else the
        paragraph of its docstring that begins so; empty where neither is there.
    sizes : tuple of str
    takes_data : bool
        Whether it reads measurements from a folder, ``--data``.
    """

    name: str
    path: Path
    title: str
    claim: str
    sizes: tuple[str, ...]
    takes_data: bool

    def digest(self) -> str:
        """Short hash of the script and of the modules beside it, which it may share."""
        text = hashlib.sha256()
        for path in sorted(self.path.parent.glob("*.py")) if "/" in self.name else [self.path]:
            text.update(path.read_bytes())
        return text.hexdigest()[:16]


def examples_folder(given: Path | None) -> Path:
    """Return the folder of scripts: the given one, ``examples`` here, or that of the checkout.

    Raises
    ------
    ValueError
        If there is none: the scripts come with the repository, not with the wheel.
    """
    checkout = Path(__file__).resolve().parents[2] / "examples"
    for folder in [given] if given is not None else [Path("examples"), checkout]:
        if (folder / "figures").is_dir():
            return folder
    raise ValueError(
        f"{given or 'examples'} is no folder with scripts and a folder 'figures'; they come with "
        "the repository: run this in a checkout of it, or pass --examples FOLDER.")


def find_scripts(folder: Path) -> list[Script]:
    """Return all scripts below a folder, sorted by name; modules that they share are left out."""
    claims = claims_of(folder.parent / "docs" / "examples.md")
    found = (read_script(path, folder, claims) for path in sorted(folder.rglob("*.py")))
    return [script for script in found if script is not None]


def claims_of(page: Path) -> dict[str, str]:
    """Return the last cells of a page's tables, by the script that the first cell names."""
    if not page.is_file():
        return {}
    rows = re.finditer(r"^\| `([^`]+)\.py` \|.*\| (.+?) \|$", page.read_text(encoding="utf-8"),
                       re.MULTILINE)
    return {name: claim for name, claim in (row.groups() for row in rows)}


def read_script(path: Path, folder: Path, claims: dict[str, str]) -> Script | None:
    """Return what a file says of itself, or None if it has no sizes to run at."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    sizes = next((node.value for node in tree.body if isinstance(node, ast.Assign)
                  and any(getattr(target, "id", None) == "SIZES" for target in node.targets)), None)
    if not isinstance(sizes, ast.Dict):
        return None
    paragraphs = [" ".join(part.split()) for part in
                  inspect.cleandoc(ast.get_docstring(tree) or "").split("\n\n")]
    own = [part.partition(":")[2].strip() for part in paragraphs
           if part.startswith(("Claim:", "Claims:"))]
    name = path.relative_to(folder).with_suffix("").as_posix()
    return Script(name, path, paragraphs[0], claims.get(name, " ".join(own)),
                  tuple(ast.literal_eval(key) for key in sizes.keys if key is not None),
                  any(isinstance(node, ast.Constant) and node.value == "--data"
                      for node in ast.walk(tree)))


def chosen(scripts: list[Script], names: list[str]) -> list[Script]:
    """Return the scripts that are named; all if none is.

    A name is that of a script, its last part, or a folder.

    Raises
    ------
    ValueError
        If a name fits none, or its last part fits several.
    """
    if not names:
        return scripts
    picked = []
    for name in names:
        name = name.removesuffix(".py").removeprefix("examples/").strip("/")
        exact = [s for s in scripts if s.name == name]
        inside = [s for s in scripts if s.name.startswith((f"{name}/", f"figures/{name}/"))]
        last = [s for s in scripts if s.name.rpartition("/")[2] == name]
        fits = exact or inside or last
        if not fits:
            raise ValueError(f"no figure is called {name!r}; `odl-learned figures list` has all "
                             "names.")
        if not exact and not inside and len(last) > 1:
            raise ValueError(f"{name!r} is the name of {', '.join(s.name for s in last)}; expected "
                             "one of these.")
        picked += [s for s in fits if s not in picked]
    return picked
