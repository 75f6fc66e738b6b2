"""The documentation's site, built and then opened page by page in a real browser."""

import functools
import html
import http.server
import json
import re
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
from browser import browse, needs_chromium

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=600, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def test_every_page_is_built(site):
    assert len([*site.rglob("index.html")]) >= len([*(ROOT / "docs").rglob("*.md")])


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


#: Opens one page after the other in a frame and writes down what is seen there.
EXAMINE = r"""
<body style="margin:0"><iframe id=f width=WIDTH height=2000 style="border:0"></iframe><script>
const look = (d, w) => {
  const article = d.querySelector("article"), words = article.cloneNode(true);
  for (const e of words.querySelectorAll("code, pre, math, script, style")) e.replaceWith(" ");
  const told = (e) => e.tagName.toLowerCase() + ": " + e.textContent.trim().slice(0, 60);
  const plain = "b:not(:has(> code:only-child)), i, s, u, font"; // mkdocstrings has <b><code>name</code></b>
  const strange = (e) => e instanceof w.HTMLUnknownElement || e.matches(plain);
  const wide = (e) => e.scrollWidth > e.clientWidth + 1;
  return {
    latex: words.textContent.match(/\$[^$]{1,99}\$|\\[a-zA-Z]{2,}|\\[()[\]]|[\^_]\{/g) || [],
    eaten: [...article.querySelectorAll("*")].filter(strange).map(told),
    broken_images: [...d.images].filter((e) => !e.naturalWidth).map((e) => e.src),
    wide_tables: [...article.querySelectorAll(".md-typeset__scrollwrap")].filter(wide).map(told),
    tables: article.querySelectorAll(".md-typeset__scrollwrap > * > table").length,
    sideways: d.documentElement.scrollWidth > w.innerWidth ? d.documentElement.scrollWidth : 0,
    formulas: article.querySelectorAll("math").length,
    links: [...d.querySelectorAll("a[href], link[href]")].map((e) => e.href),
    files: [...d.querySelectorAll("script[src], img[src]")].map((e) => e.src),
    names: [...d.querySelectorAll("[id], a[name]")].map((e) => e.id || e.name),
  };
};
(async () => {
  const seen = {};
  for (const page of PAGES) {
    await new Promise((done) => { f.onload = done; f.src = page; });
    await new Promise((done) => setTimeout(done, 200));
    seen[page] = look(f.contentDocument, f.contentWindow);
  }
  document.title = JSON.stringify(seen);
})();
</script>
"""


@pytest.fixture(scope="module")
def opened(site, tmp_path_factory):
    """What is seen on each page at some width, what the console said and who else was asked; and the address."""

    @functools.cache
    def at(width: int):
        pages = sorted(f"/{path.relative_to(site)}" for path in site.rglob("*.html"))
        script = EXAMINE.replace("WIDTH", str(width)).replace("PAGES", json.dumps(pages))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=site))
        (site / "examine.htm").write_text(script, encoding="utf-8")
        with server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            address = f"http://127.0.0.1:{server.server_address[1]}"
            options = ("--dump-dom", "--virtual-time-budget=30000", f"--window-size={width + 40},2100")
            dom, console, asked = browse(f"{address}/examine.htm", tmp_path_factory.mktemp("profile"), *options)
            server.shutdown()
        seen = json.loads(html.unescape(re.search(r"<title>(.*?)</title>", dom, re.DOTALL)[1]))
        assert list(seen) == pages
        return seen, console, asked, address

    return at


def with_any(seen: dict, what: str) -> dict:
    return {page: found[what] for page, found in seen.items() if found[what]}


@needs_chromium
def test_formulas_are_drawn(opened):
    seen, *_ = opened(1300)
    assert with_any(seen, "latex") == {}
    assert sum(found["formulas"] for found in seen.values()) > 200


@needs_chromium
def test_no_text_is_taken_for_markup(opened):
    seen, *_ = opened(1300)
    assert with_any(seen, "eaten") == {}


@needs_chromium
def test_nothing_is_missing_and_nobody_else_is_asked(opened, site):
    seen, console, asked, _ = opened(1300)
    assert console == []
    assert asked == []
    assert with_any(seen, "broken_images") == {}


@needs_chromium
def test_every_link_leads_to_a_place_that_exists(opened, site):
    """Links within the site: the file, and where an anchor is named, that too."""
    seen, _, _, address = opened(1300)
    lost = set()
    for page, found in seen.items():
        for link in found["links"] + found["files"]:
            target, anchor = urldefrag(link)
            if not target.startswith(address):
                continue
            path = unquote(target.removeprefix(address))
            path = path + "index.html" if path.endswith("/") else path
            if not (site / path.lstrip("/")).is_file() or (anchor and unquote(anchor) not in seen[path]["names"]):
                lost.add((page, link.removeprefix(address)))
    assert lost == set()


@needs_chromium
@pytest.mark.parametrize("width", [390, 1300])
def test_pages_fit_the_window(opened, width):
    seen, *_ = opened(width)
    assert with_any(seen, "sideways") == {}
    assert sum(found["tables"] for found in seen.values()) > 50
    if width > 1000:  # on a phone a wide table scrolls by itself
        assert with_any(seen, "wide_tables") == {}
