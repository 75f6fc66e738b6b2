"""The pages in a real browser: they draw, print and ask nothing of the network."""

import html
import json
import re
import shutil
import socketserver
import subprocess
import threading

import pytest
import report_inputs

from lmbmd.report import formulation_page, load_results, write_index

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (apt install chromium)")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    study = report_inputs.write_study(tmp_path_factory.mktemp("browser"))
    results = []
    for name in report_inputs.BOTTLES:
        results.append(load_results(study / name, report_inputs.MANIFEST, {"title": f"{name} <script>"}))
    (study / results[1].name / "report.html").write_text(formulation_page(results[1]).html, encoding="utf-8")
    write_index(study, results)
    return study


class Listener(socketserver.ThreadingTCPServer):
    """A proxy that writes down what it is asked for and answers nothing."""

    daemon_threads = True

    def __init__(self):
        self.asked = []
        super().__init__(("127.0.0.1", 0), Listener.Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            self.server.asked.append(self.rfile.readline().decode("latin-1").strip())


#: Hosts that the browser itself talks to, whatever page is open.
ITS_OWN = re.compile(r"[/.](google|googleapis|gstatic|googleusercontent|gvt1)\.com[:/]")


def browse(page, tmp_path, *options):
    """Open a page behind a proxy that answers nothing; returns stdout, console lines and what the page asked for."""
    with Listener() as proxy:
        command = [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
            "--disable-extensions", "--disable-component-update", "--no-first-run", "--hide-scrollbars",
            f"--proxy-server=http://127.0.0.1:{proxy.server_address[1]}", f"--user-data-dir={tmp_path / 'profile'}",
            "--enable-logging=stderr", *options, page.as_uri(),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120)
        proxy.shutdown()
    assert done.returncode == 0, done.stderr[-2000:]
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return done.stdout, console, [line for line in proxy.asked if not ITS_OWN.search(line)]


def test_the_browser_would_tell_of_errors_and_requests(tmp_path):
    page = tmp_path / "bad.html"
    page.write_text("<script>console.error('seen')</script><img src='http://example.invalid/x.png'>", encoding="utf-8")
    _, console, asked = browse(page, tmp_path, "--dump-dom")
    assert any("seen" in line for line in console)
    assert any("example.invalid/x.png" in line for line in asked)


@pytest.mark.parametrize("name", ["lifsi-dme-tte/report.html", "index.html"])
def test_a_page_opens_without_errors_or_requests(study, tmp_path, name):
    dom, console, asked = browse(study / name, tmp_path, "--dump-dom")
    assert "</html>" in dom and "&lt;script&gt;" in dom
    assert console == []
    assert asked == []


def examine(page, width, script, tmp_path):
    """Open a page in a frame, which may be as narrow as a phone (a window may not), and run a function body on its
    document ``d``; returns what that returns."""
    path = tmp_path / "frame.html"
    frame = f"<iframe id=f src='{page.as_uri()}' width={width} height=9000 style='border:0'></iframe>"
    path.write_text(
        f"<body style='margin:0'>{frame}"
        f"<script>f.onload = () => {{ const d = f.contentDocument; const examine = () => {{ {script} }};"
        "document.title = JSON.stringify(examine()); }</script>",
        encoding="utf-8",
    )
    window = f"--window-size={width + 40},2000"
    options = ("--dump-dom", "--allow-file-access-from-files", "--virtual-time-budget=8000", window)
    dom, _, _ = browse(path, tmp_path, *options)
    return json.loads(html.unescape(re.search(r"<title>(.*?)</title>", dom, re.S)[1]))


MISFITS = """
const right = f.contentWindow.innerWidth + 1, box = (e) => e.getBoundingClientRect();
const blocks = [...d.querySelectorAll("svg.plot, h1, h2, p, figure, dl")].filter((e) => !e.closest(".scroll, .skip"));
const labels = [...d.querySelectorAll("svg.plot text")].filter((e) => e.textContent.trim());
const clipped = (e) => { const t = box(e), s = box(e.closest("svg"));
  return t.left < s.left - 1 || t.right > s.right + 1 || t.top < s.top - 1 || t.bottom > s.bottom + 1; };
const tiny = (e) => Math.min(box(e).width, box(e).height) < 8 && e.textContent.trim().length > 1;
const words = (list) => list.map((e) => e.tagName + ": " + e.textContent.trim().slice(0, 40));
const out = blocks.filter((e) => box(e).right > right);
return { width: d.documentElement.scrollWidth, labels: labels.length, out: words(out),
  clipped: words(labels.filter(clipped)), tiny: words(labels.filter(tiny)) };
"""


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", ["lifsi-dme-tte/report.html", "index.html"])
def test_nothing_sticks_out_is_clipped_or_too_small_to_read(study, tmp_path, name, width):
    found = examine(study / name, width, MISFITS, tmp_path)
    assert found.pop("width") <= width
    assert found.pop("labels") > (200 if "report" in name else -1)
    assert found == {"out": [], "clipped": [], "tiny": []}


def printed_pages(page, tmp_path):
    pdf = tmp_path / "page.pdf"
    browse(page, tmp_path, f"--print-to-pdf={pdf}", "--no-pdf-header-footer")
    return len(re.findall(rb"/Type\s*/Page[^s]", pdf.read_bytes()))


def test_a_page_prints_whole_with_what_is_folded_on_screen(study, tmp_path):
    page, short = study / "lifsi-dme-tte" / "report.html", tmp_path / "short.html"
    short.write_text(re.sub(r"<details>.*?</details>", "", page.read_text("utf-8"), flags=re.S), "utf-8")
    assert 5 <= printed_pages(short, tmp_path) < printed_pages(page, tmp_path) <= 30


def test_a_page_can_be_photographed(study, tmp_path):
    png = tmp_path / "page.png"
    browse(study / "lifsi-dme-tte" / "report.html", tmp_path, f"--screenshot={png}", "--window-size=1280,2000")
    assert png.read_bytes()[16:24] == (1280).to_bytes(4, "big") + (2000).to_bytes(4, "big")
