"""Table, file and figure of the demonstration."""

import json

from odl_learned import metrics, plotting
from odl_learned.demo.methods import discrepancy

COLUMNS = ("problem", "method", "PSNR", "SSIM", "seconds", "iterations", "certificate",
           "discrepancy")

LEGEND = (
    "certificate: error is a bound of |x - x_hat| / |x|, gap the duality gap over the value;\n"
    "discrepancy: |A x - y| / |noise|, about one where the data are explained and no more"
)


def rows(scene, results):
    """One dictionary per method, with plain numbers."""
    return [
        {
            "problem": scene.name,
            "method": result.name,
            "PSNR": round(metrics.psnr(result.x, scene.truth), 2),
            "SSIM": round(metrics.ssim(result.x, scene.truth), 4),
            "seconds": round(result.seconds, 2),
            "iterations": result.niter,
            "certificate": result.certificate,
            "discrepancy": round(discrepancy(scene, result.x), 3),
        }
        for result in results
    ]


def table(entries):
    """All rows as aligned text."""
    cells = [COLUMNS] + [tuple(_text(row[name]) for name in COLUMNS) for row in entries]
    widths = [max(len(line[i]) for line in cells) for i in range(len(COLUMNS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip()
             for line in cells]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def write(entries, settings, notes, folder):
    """Write ``demo.json`` with the settings, all rows, and what was said about the images."""
    path = folder / "demo.json"
    said = {"settings": settings, "results": entries, "notes": notes}
    path.write_text(json.dumps(said, indent=2) + "\n")
    return path


def draw(scene, results, entries, folder):
    """Write the figure of one problem with zooms and errors."""
    path = folder / f"demo_{scene.name}.png"
    captions = {row["method"]: f"{row['PSNR']:.1f} dB, SSIM {row['SSIM']:.3f}" for row in entries}
    plotting.comparison({result.name: scene.drawn(result.x) for result in results},
                        scene.drawn(scene.truth), path, window=scene.window, zoom=scene.zoom,
                        title=scene.title, captions=captions, unit=scene.unit, body=scene.body)
    return path


def _text(value):
    return "-" if value is None else f"{value}"
