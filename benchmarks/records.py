"""Runs of the races, kept line by line, and the table of their ratios with their spread."""

import json
import statistics

#: Others' work below which a machine counts as quiet, in processors.
QUIET = 0.5


def append(path, record):
    """Add a record to a file of JSON lines, at once."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


def load(path):
    """All records of a file, of which the last line may have been cut off."""
    if not path.exists():
        return []
    records = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return records


def table(records, marks):
    """Markdown: for every number its median over the runs, quiet and busy ones apart.

    Parameters
    ----------
    records : list of dict
        With ``race``, ``numbers`` and ``others``, the processors that others used meanwhile.
    marks : dict of str to float
        The largest value that is asked for, by name.
    """
    rows, names = ["| race | number | mark | quiet machine | busy machine |",
                   "|---|---|---|---|---|"], {}
    for record in records:
        for name, value in record["numbers"].items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                kind = "quiet" if record["others"] < QUIET else "busy"
                found = names.setdefault((record["race"], name), {"quiet": [], "busy": []})
                found[kind].append(value)
    for (race, name), values in names.items():
        mark = marks.get(name)
        rows.append(f"| {race} | {name} | {'' if mark is None else f'{mark:g}'} | "
                    f"{_spread(values['quiet'])} | {_spread(values['busy'])} |")
    return "\n".join(rows) + "\n"


def _spread(values):
    """``median (smallest to largest, number)`` of values."""
    if not values:
        return ""
    middle = f"{statistics.median(values):.3g}"
    if len(values) == 1:
        return f"{middle} (1 run)"
    return f"{middle} ({min(values):.3g} to {max(values):.3g}, {len(values)} runs)"
