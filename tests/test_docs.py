"""The code in the documentation runs: blocks of a page, in order, as one program."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEADER = "import matplotlib; matplotlib.use('agg'); import torch; torch.set_num_threads(1); "


def program(page):
    """The Python blocks of a page at their own line numbers, empty lines between them."""
    text = page.read_text()
    lines = [""] * (text.count("\n") + 1)
    for block in BLOCK.finditer(text):
        first = text.count("\n", 0, block.start(1))
        for i, line in enumerate(block[1].splitlines()):
            lines[first + i] = line
    return "\n".join(lines)


def has_code(page):
    return BLOCK.search(page.read_text()) is not None


def run(source, folder, name):
    """Run a program in a process of its own, so that rules it registers do not stay."""
    code = f"{HEADER}exec(compile(open({str(source)!r}).read(), {name!r}, 'exec'))"
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})


def test_pages_are_found():
    names = {page.name for page in PAGES if has_code(page)}
    assert {"README.md", "bring_your_own_operator.md"} <= names


@pytest.mark.parametrize("page", [p for p in PAGES if has_code(p)], ids=lambda p: p.name)
def test_code_of_page_runs(page, tmp_path):
    source = tmp_path / "page.py"
    source.write_text(program(page))
    done = run(source, tmp_path, page.name)
    assert done.returncode == 0, f"{page.name}, line numbers of the page:\n{done.stderr}"


def test_an_error_is_found_with_its_line(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("text\n\n```python\nx = 1\n```\nmore\n```\nnot Python\n```\n\n"
                    "```python\nassert x == 2\n```\n")
    (tmp_path / "page.py").write_text(program(page))
    done = run(tmp_path / "page.py", tmp_path, page.name)
    assert done.returncode == 1 and 'File "page.md", line 12' in done.stderr


LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_to_files_exist(page):
    missing = [link for link in LINK.findall(page.read_text())
               if not (page.parent / link).exists()]
    assert not missing, f"{page.name} links to {missing}"
