"""A page in a real browser, behind a proxy that answers nothing."""

from __future__ import annotations

import html
import json
import re
import shutil
import socketserver
import subprocess
import threading

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


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


#: Without a graphics card, and with one that software stands in for.
FLAT = ("--disable-gpu",)


WEBGL = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")


def browse(page, tmp_path, *options, drawing=FLAT):
    """Open a page, by path or address, behind a proxy that answers nothing: stdout, console lines and requests."""
    with Listener() as proxy:
        command = [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            *drawing,
            "--disable-background-networking",
            "--disable-extensions",
            "--disable-component-update",
            "--no-first-run",
            "--hide-scrollbars",
            f"--proxy-server=http://127.0.0.1:{proxy.server_address[1]}",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--enable-logging=stderr",
            *options,
            page if isinstance(page, str) else page.as_uri(),
        ]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=300, check=False)
        proxy.shutdown()
    assert done.returncode == 0, done.stderr[-2000:]
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    # An empty line is a connection that the browser opened in advance and closed without asking for anything.
    return done.stdout, console, [line for line in proxy.asked if line and not ITS_OWN.search(line)]


def examine(page, width, script, tmp_path):
    """Open a page in a frame, which may be as narrow as a phone (a window may not), and run a function body on its
    document ``d``; returns what that returns."""
    path = tmp_path / "frame.html"
    frame = f"<iframe id=f src='{page.as_uri()}' width={width} height=9000 style='border:0'></iframe>"
    path.write_text(
        f"<body style='margin:0'>{frame}"
        f"<script>f.onload = async () => {{ const d = f.contentDocument; const examine = async () => {{ {script} }};"
        "document.title = JSON.stringify(await examine()); }</script>",
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


needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (apt install chromium)")
