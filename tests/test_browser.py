"""The site and the report in a browser: no errors, pictures, search, and narrow screens."""

import functools
import html
import http.server
import json
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [pytest.mark.slow,
              pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on the path")]
#: A page in a frame of the given width; once it has loaded, what was found is in the text.
PROBE = """<!DOCTYPE html><body><iframe id="page" style="border:0;width:%dpx;height:900px"></iframe>
<pre id="found"></pre><script>
const frame = document.getElementById("page");
function tell() {
  const page = frame.contentDocument, pictures = [...page.images];
  document.getElementById("found").textContent = JSON.stringify({
    text: page.body.innerText, pictures: pictures.filter(p => p.naturalWidth).length,
    broken: pictures.filter(p => !p.naturalWidth).map(p => p.src),
    wide: page.scrollingElement.scrollWidth,
    size: Math.min(...[...page.querySelectorAll("p")].map(
      p => parseFloat(frame.contentWindow.getComputedStyle(p).fontSize)))});
}
frame.onload = () => {
  for (const p of frame.contentDocument.images) p.loading = "eager";
  setTimeout(tell, 3000);
};
frame.src = "%s";
</script>"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, with a report, in a folder that a thread serves; the folder and its address."""
    pytest.importorskip("sphinx")
    pytest.importorskip("furo")
    folder = tmp_path_factory.mktemp("site")
    for command in (["sphinx", "-q", "-b", "html", "docs", str(folder)],
                    ["odl_learned", "figures", "run", "ct_tv_pdhg", "--out", str(folder)]):
        done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True,
                              text=True)
        assert done.returncode == 0, done.stderr

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def opened(site, path, width, profile):
    """Open a page of the site in a frame; return what was found, and what the console said."""
    folder, address = site
    (folder / "probe.html").write_text(PROBE % (width, path))
    done = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
         f"--user-data-dir={profile}", "--enable-logging=stderr", "--virtual-time-budget=20000",
         "--dump-dom", f"{address}/probe.html"],
        capture_output=True, text=True, timeout=300)  # fmt: skip
    found = re.search(r'<pre id="found">(.+?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    return (json.loads(html.unescape(found[1])),
            [line for line in done.stderr.splitlines() if "CONSOLE" in line])


@pytest.mark.parametrize("width", [1200, 400])
@pytest.mark.parametrize(("path", "pictures", "words"), [
    ("index.html", 2, "Classical and learned"),
    ("generated/gallery/index.html", 60, "Every script asserts what it claims"),
    ("generated/reference/variational/tv_problem.html", 5, "Used in"),
    ("report.html", 1, "1 of 1 claims held"),
], ids=["start", "gallery", "reference", "report"])  # fmt: skip
def test_pages_open(site, path, pictures, words, width, tmp_path):
    found, said = opened(site, path, width, tmp_path)
    assert said == [] and found["broken"] == []
    assert words in found["text"] and found["pictures"] >= pictures
    assert found["wide"] <= width, "the page scrolls sideways"
    assert found["size"] >= 11


def test_search_finds_names(site, tmp_path):
    found, said = opened(site, "search.html?q=tv_problem", 1200, tmp_path)
    assert said == [] and "variational.tv_problem" in found["text"]


def test_a_page_with_errors_is_found(site, tmp_path):
    (site[0] / "broken.html").write_text(
        '<p style="width:2000px">x</p><img src="none.png"><script>no_such_function()</script>')
    found, said = opened(site, "broken.html", 400, tmp_path)
    assert len(said) >= 1 and len(found["broken"]) == 1 and found["wide"] > 400
