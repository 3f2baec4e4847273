"""``odl-learned figures``: list all figures with their claims, and reproduce them."""

import dataclasses
import json
from pathlib import Path

from odl_learned.commands import report, runs, scripts

SUMMARY = "list the figures of both talks and of papers with their claims, or reproduce them"


def add(commands):
    """Add the parsers."""
    parser = commands.add_parser("figures", help=SUMMARY, description=SUMMARY)
    actions = parser.add_subparsers(dest="action", required=True)
    listing = actions.add_parser("list", help="names, what they show, and their claims")
    running = actions.add_parser(
        "run", help="run them, and write one report with pictures, claims and numbers")
    for each in (listing, running):
        each.add_argument("names", nargs="*", metavar="NAME",
                          help="scripts, or folders such as talk2023 [all]")
        each.add_argument("--examples", type=Path, metavar="FOLDER",
                          help="where the scripts are [examples]")
        each.add_argument("--json", action="store_true", help="JSON instead of text")
    running.add_argument("--size", choices=("smoke", "paper"), default="smoke",
                         help="seconds each, or as in the paper [smoke]")
    running.add_argument("--jobs", type=int, default=1, help="scripts at the same time [1]")
    running.add_argument("--data", type=Path, metavar="FOLDER",
                         help="measurements for the scripts that read some")
    running.add_argument("--out", type=Path, default=Path("results"),
                         help="folder of the report and all pictures [results]")
    running.add_argument("--again", action="store_true",
                         help="also those whose claim held before, with the same script")
    listing.set_defaults(run=run_list)
    running.set_defaults(run=run_all)


def run_list(arguments):
    """Print what there is."""
    found = scripts.chosen(scripts.find_scripts(scripts.examples_folder(arguments.examples)),
                           arguments.names)
    if arguments.json:
        print(json.dumps([{"name": each.name, "title": each.title, "claim": each.claim,
                           "sizes": each.sizes, "takes_data": each.takes_data}
                          for each in found], indent=2))
        return 0
    for each in found:
        print(each.name + (" (takes --data)" if each.takes_data else ""))
        print(f"    {each.title}")
        if each.claim:
            print(f"    Claims: {each.claim}")
    print(f"{len(found)} figures")
    return 0


def run_all(arguments):
    """Run scripts and write the report after each; the status is 1 if a claim does not hold."""
    from odl_learned.validation import require_count

    require_count("--jobs", arguments.jobs)
    found = scripts.chosen(scripts.find_scripts(scripts.examples_folder(arguments.examples)),
                           arguments.names)
    for each in found:
        if arguments.size not in each.sizes:
            raise ValueError(f"{each.name} has the sizes {', '.join(each.sizes)}, not "
                             f"{arguments.size!r}.")
    folder = arguments.out / f"figures_{arguments.size}"
    page = arguments.out / "report.html"
    runner = runs.Runner(folder, arguments.size, arguments.data, arguments.jobs, arguments.again)
    records = []
    for record, fresh in runner.run(found):
        records.append(record)
        report.write(page, sorted(records, key=lambda each: each.name), folder, len(found))
        if not arguments.json:
            told = record.printed.splitlines()[-1:] if record.outcome == runs.HELD else []
            print(f"[{len(records)}/{len(found)}] {record.outcome:<11} {record.name} "
                  f"({record.seconds:.0f} s{'' if fresh else ', kept'})", flush=True)
            print(*(f"        {line}" for line in told or [record.failure]), sep="\n", flush=True)
    held = sum(record.outcome == runs.HELD for record in records)
    if arguments.json:
        print(json.dumps({"held": held, "of": len(records), "report": str(page),
                          "records": [dataclasses.asdict(each) for each in records]}))
    else:
        print(f"{held} of {len(records)} claims held -> {page}")
    return 0 if held == len(records) else 1
