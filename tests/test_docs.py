"""The code in the documentation runs: blocks of a page, in order, as one program."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PRINTED = re.compile(r"\n\n?```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
END = "\x1e"  # printed after every block
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")
HEADER = "import matplotlib; matplotlib.use('agg'); import torch; torch.set_num_threads(1); "


def program(page):
    """The Python blocks of a page at their own line numbers, empty lines between them."""
    text = page.read_text()
    lines = [""] * (text.count("\n") + 1)
    for block in BLOCK.finditer(text):
        first = text.count("\n", 0, block.start(1))
        for i, line in enumerate(block[1].splitlines()):
            lines[first + i] = line
        lines[first + i + 1] = f"print({END!r}, end='')"
    return "\n".join(lines)


def printed(page):
    """What the page says that its blocks print; None after a block about which it says nothing."""
    text, said = page.read_text(), []
    for block in BLOCK.finditer(text):
        after = PRINTED.match(text, block.end())
        said.append(after and after[1])
    return said


def unit(number):
    """One unit of the last digit of a number as it is written."""
    mantissa, _, exponent = number.partition("e")
    return 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))


def agree(said, found):
    """The same words, and numbers that differ by a unit of the last digit that the page shows."""
    words = [re.sub(r"\s+", " ", NUMBER.sub("#", text)).strip() for text in (said, found)]
    pairs = zip(NUMBER.findall(said), NUMBER.findall(found))
    return words[0] == words[1] and all(
        abs(float(a) - float(b)) <= 1.001 * unit(a) for a, b in pairs)


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
    *found, rest = done.stdout.split(END)
    for said, text in zip(printed(page), found, strict=True):
        assert agree(said or "", text), f"{page.name} says\n{said}and printed is\n{text}"
    assert not rest


def test_every_block_of_the_readme_says_what_it_prints():
    assert all(printed(ROOT / "README.md"))


@pytest.mark.parametrize(("said", "found", "right"), [
    ("gap 1.0 % of 28.4 dB\n", "gap 1.1 % of 28.45 dB", True),
    ("gap 1.0 %", "gap 1.2 %", False),
    ("2e-05", "2.9e-5", True),
    ("2.0e-05", "2.9e-5", False),
    ("[50 60]", "[50  60]", True),
    ("[50 60]", "[50 61 62]", False),
    ("niter 50", "steps 50", False),
])
def test_numbers_agree_to_a_unit_of_their_last_digit(said, found, right):
    assert agree(said, found) is right


def test_what_a_page_says_and_does_not_print_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```python\nprint(1.5)\n```\n\n```text\n1.5\n```\n\n```python\nx = 1\n```\n")
    (tmp_path / "page.py").write_text(program(page))
    done = run(tmp_path / "page.py", tmp_path, page.name)
    assert printed(page) == ["1.5\n", None] and done.stdout == f"1.5\n{END}{END}"


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


ANCHOR = re.compile(r"\]\((?!https?://)([^)#]*)#([^)]+)\)")
HEADING = re.compile(r"^#{1,3} (.+)$", re.MULTILINE)
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def anchors(text):
    """What the headings of a page are called in links, as on GitHub and by myst."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
            for heading in HEADING.findall(FENCED.sub("", text))}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_to_headings_exist(page):
    missing = [f"{link}#{anchor}" for link, anchor in ANCHOR.findall(page.read_text())
               if anchor not in anchors((page.parent / link if link else page).read_text())]
    assert not missing, f"{page.name} links to {missing}"


def test_headings_are_called_as_on_github():
    text = "# Odd: `x_1`, and so on\n```\n# no heading\n```\n### From the command line\n#### four\n"
    assert anchors(text) == {"odd-x_1-and-so-on", "from-the-command-line"}
