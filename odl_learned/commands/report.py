"""One page that needs nothing else: pictures, claims, numbers, and how to run them again."""

import base64
import html
from pathlib import Path

from odl_learned.commands.runs import HELD, Record

STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --paper: #fff; --soft: #f3f3f3; --line: #d8d8d8;
  --good: #1a7f37; --bad: #c62828; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --paper: #161616; --soft: #222;
  --line: #3a3a3a; --good: #5bd07a; --bad: #ff7b72; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 1rem; color: var(--ink);
  background: var(--paper); font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-bottom: .3rem; }
article { border-top: 1px solid var(--line); padding: .5rem 0 1rem; }
article.bad { border-left: 4px solid var(--bad); padding-left: 1rem; }
img { max-width: 100%; background: #fff; }
pre { background: var(--soft); padding: .6rem; white-space: pre-wrap; overflow-wrap: anywhere;
  font-size: .85rem; }
.good { color: var(--good); } .bad > header strong, .failure { color: var(--bad); }
.small { font-size: .85rem; opacity: .8; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
td { border-top: 1px solid var(--line); padding: .2rem .5rem .2rem 0; overflow-wrap: anywhere; }
a { color: inherit; }
"""


def write(page: Path, records: list[Record], folder: Path, total: int):
    """Write the report of all records so far, in one step.

    Parameters
    ----------
    page : Path
        Of the HTML file.
    records : list of Record
    folder : Path
        Where each record has a folder of its name, with its pictures.
    total : int
        How many there will be.
    """
    page.parent.mkdir(parents=True, exist_ok=True)
    unfinished = page.with_suffix(".html.new")
    unfinished.write_text(render(records, folder, total), encoding="utf-8")
    unfinished.replace(page)


def render(records: list[Record], folder: Path, total: int) -> str:
    """Return the text of the page."""
    held = sum(record.outcome == HELD for record in records)
    missing = "" if len(records) == total else f", {total - len(records)} still to run"
    versions = records[0].versions if records else {}
    rows = "".join(
        f'<tr><td><a href="#{anchor(each)}">{html.escape(each.name)}</a></td>'
        f'<td class="{tone(each)}">{each.outcome}</td><td>{each.seconds:.0f} s</td></tr>'
        for each in records)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{held} of {len(records)} claims held</title><style>{STYLE}</style></head><body>"
        f'<h1 class="{"good" if held == total else "failure"}">{held} of {len(records)} claims '
        f'held{missing}</h1><p class="small">'
        + html.escape(", ".join(f"{name} {value}" for name, value in versions.items()))
        + f"</p><table>{rows}</table>"
        + "".join(article(each, folder / each.name) for each in records) + "</body></html>\n")


def article(record: Record, folder: Path) -> str:
    """Return the part of one figure."""
    claim = f"<p>Claims: {html.escape(record.claim)}</p>" if record.claim else ""
    failure = f'<pre class="failure">{html.escape(record.failure)}</pre>' if record.failure else ""
    printed = f"<pre>{html.escape(record.printed)}</pre>" if record.printed else ""
    pictures = "".join(picture(path, record.title) for path in sorted(folder.glob("*.png")))
    name, title, command = map(html.escape, (record.name, record.title, record.command))
    return (f'<article id="{anchor(record)}" class="{tone(record)}"><header><h2>{name}</h2>'
            f"<strong>{record.outcome}</strong></header><p>{title}</p>{claim}{failure}{pictures}"
            f'{printed}<p class="small">{command}, {record.seconds:.0f} s; the script fixes the '
            "seed.</p></article>")


def picture(path: Path, title: str) -> str:
    """Return a picture as part of the page."""
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="{html.escape(title)}" src="data:image/png;base64,{data}">'


def anchor(record: Record) -> str:
    """Name of a place on the page."""
    return record.name.replace("/", "-")


def tone(record: Record) -> str:
    """Class of the style sheet."""
    return "good" if record.outcome == HELD else "bad"
