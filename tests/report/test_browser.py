"""The pages in a real browser: they draw, print and ask nothing of the network."""

import html
import json
import re

import pytest
import report_inputs
from browser import FLAT, MISFITS, WEBGL, browse, examine, needs_chromium

from lmbmd.report.inputs import load_results
from lmbmd.report.pages.index import write_index
from lmbmd.report.pages.page import formulation_page

pytestmark = [pytest.mark.slow, needs_chromium]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    study = report_inputs.write_study(tmp_path_factory.mktemp("browser"))
    results = []
    for name in report_inputs.BOTTLES:
        results.append(load_results(study / name, report_inputs.MANIFEST, {"title": f"{name} <script>"}))
    (study / results[1].name / "report.html").write_text(formulation_page(results[1]).html, encoding="utf-8")
    write_index(study, results)
    return study


def test_the_browser_would_tell_of_errors_and_requests(tmp_path):
    page = tmp_path / "bad.html"
    page.write_text("<script>console.error('seen')</script><img src='http://example.invalid/x.png'>", encoding="utf-8")
    _, console, asked = browse(page, tmp_path, "--dump-dom")
    assert any("seen" in line for line in console)
    assert any("example.invalid/x.png" in line for line in asked)


@pytest.mark.parametrize("name", ["lifsi-dme-tte/report.html", "index.html"])
def test_a_page_opens_without_errors_or_requests(study, tmp_path, name):
    dom, console, asked = browse(study / name, tmp_path, "--dump-dom", drawing=WEBGL)
    assert "</html>" in dom and "&lt;script&gt;" in dom
    assert console == []
    assert asked == []


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", ["lifsi-dme-tte/report.html", "index.html"])
def test_nothing_sticks_out_is_clipped_or_too_small_to_read(study, tmp_path, name, width):
    found = examine(study / name, width, MISFITS, tmp_path)
    assert found.pop("width") <= width
    assert found.pop("labels") > (200 if "report" in name else -1)
    assert found == {"out": [], "clipped": [], "tiny": []}


LOOKING = """
<body style='margin:0'><iframe id=f src='{page}' width=1280 height=9000 style='border:0'></iframe><script>
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const picture = (canvas) => {{
  const flat = document.createElement("canvas");
  [flat.width, flat.height] = [160, 160];
  flat.getContext("2d").drawImage(canvas, 0, 0, 160, 160);
  return flat.getContext("2d").getImageData(0, 0, 160, 160).data;
}};
const different = (a, b) => a.reduce((n, value, i) => n + (Math.abs(value - b[i]) > 24), 0);
const press = (view, key) =>
  view.dispatchEvent(new KeyboardEvent("keydown", {{ key, bubbles: true, cancelable: true }}));
f.onload = async () => {{
  const d = f.contentDocument, look = () => picture(d.querySelector(".stage .canvas canvas"));
  const result = await (async () => {{ {script} }})();
  document.title = JSON.stringify(result);
}};
</script>
"""


def look(page, tmp_path, script, *options, drawing=WEBGL):
    """As ``examine``, with an async function body that may look at the 3-D view, and with what the console said."""
    path = tmp_path / "look.html"
    path.write_text(LOOKING.format(page=page.as_uri(), script=script), encoding="utf-8")
    options = ("--dump-dom", "--allow-file-access-from-files", "--virtual-time-budget=6000", *options)
    dom, console, asked = browse(path, tmp_path, *options, drawing=drawing)
    assert asked == []
    return json.loads(html.unescape(re.search(r"<title>(.*?)</title>", dom, re.S)[1])), console


def test_shells_and_the_cluster_are_drawn_in_three_dimensions_and_turned_by_keys(study, tmp_path):
    script = """
    const [stage, other] = d.querySelectorAll(".stage"), view = stage.querySelector(".view"), found = {};
    const buttons = [...d.querySelectorAll("button[data-scene]")];
    found.shown = [stage.hidden, ...buttons.map((b) => b.hidden)].every((hidden) => !hidden);
    buttons[1].click();
    await sleep(300);
    found.drawn = [stage.dataset.drawn, buttons[1].getAttribute("aria-pressed"), stage.dataset.spinning];
    const first = look(), colours = new Set();
    for (let i = 0; i < first.length; i += 4) colours.add(first.slice(i, i + 3).join());
    found.colours = colours.size;
    press(view, "ArrowRight"); press(view, "ArrowUp");
    await sleep(200);
    const turned = look();
    found.turned = different(first, turned);
    press(view, "0");
    await sleep(200);
    found.home = different(first, look());
    stage.querySelector("[data-do=colour]").click();
    await sleep(200);
    found.recoloured = different(first, look());
    found.legend = [...stage.querySelectorAll(".legend li")].map((item) => item.textContent);
    press(view, " ");
    found.spinning = stage.dataset.spinning;
    press(view, " ");
    buttons[2].click();
    await sleep(300);
    const canvases = (where) => where.querySelectorAll("canvas").length;
    found.cluster = [other.dataset.drawn, canvases(other), canvases(stage)];
    found.words = other.querySelector(".view").getAttribute("aria-label");
    return found;
    """
    found, console = look(study / "lifsi-dme-tte" / "report.html", tmp_path, script, "--force-prefers-reduced-motion")
    assert [line for line in console if "GPU stall" not in line] == []
    assert found["shown"] and found["drawn"] == ["298.15K-view-shell-2-DME1-FSI2", "true", "no"]
    assert found["colours"] > 50  # shaded spheres; an empty canvas has one
    assert found["turned"] > 500 and found["recoloured"] > 500 and found["home"] < found["turned"] / 5
    assert found["legend"][0] == "Li" and "O" in found["legend"] and found["spinning"] == "yes"
    assert found["cluster"] == ["298.15K-view-cluster-7-ions", found["cluster"][1], 0] and found["cluster"][1] > 0
    assert found["words"].startswith("3-D picture of the largest cluster, 7 ions") and "Arrow keys" in found["words"]


def test_views_turn_by_themselves_unless_the_reader_prefers_less_motion(study, tmp_path):
    script = """
    d.querySelector("button[data-scene]").click();
    await sleep(100);
    return [d.querySelector(".stage").dataset.spinning, d.querySelector("[data-do=spin]").textContent];
    """
    page = study / "lifsi-dme-tte" / "report.html"
    assert look(page, tmp_path, script)[0] == ["yes", "Pause"]
    assert look(page, tmp_path, script, "--force-prefers-reduced-motion")[0] == ["no", "Rotate"]


def test_without_webgl_the_still_pictures_are_all_there_is(study, tmp_path):
    script = """
    const hidden = (selector) => [...d.querySelectorAll(selector)].every((one) => one.hidden);
    const stills = [...d.querySelectorAll(".stills svg")].filter((svg) => svg.getBoundingClientRect().height > 50);
    return [hidden(".stage"), hidden("button[data-scene]"), stills.length];
    """
    options = ("--disable-3d-apis",)
    found, console = look(study / "lifsi-dme-tte" / "report.html", tmp_path, script, *options, drawing=FLAT)
    assert found == [True, True, 3] and console == []


CONTRAST = r"""
const channel = (c) => (c /= 255, c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const numbers = (text) => text.match(/[\d.]+/g).map(Number);
const style = (e) => f.contentWindow.getComputedStyle(e);
const behind = (e) => {
  for (; e; e = e.parentElement) {
    const colour = numbers(style(e).backgroundColor);
    if (colour.length < 4 || colour[3] > 0.99) return colour;
  }
  return [255, 255, 255];
};
let seen = 0;
const poor = [];
for (const e of d.querySelectorAll("body *")) {
  const own = [...e.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
  if (!own || e.closest("svg, script, .skip") || !e.getClientRects().length) continue;
  seen++;
  const [a, b] = [luminance(numbers(style(e).color)), luminance(behind(e))].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05);
  if (ratio < 4.5) poor.push(e.tagName + "." + e.className + ": " + e.textContent.trim().slice(0, 30));
}
const unnamed = [...d.querySelectorAll("button, a, [tabindex]")].filter(
  (e) => !(e.getAttribute("aria-label") || e.textContent).trim()).length;
const silent = [...d.querySelectorAll("svg.plot")].filter(
  (e) => !(e.querySelector("desc") && e.querySelector("desc").textContent.length > 30)).length;
return { seen, poor, unnamed, silent, figures: d.querySelectorAll("svg.plot").length };
"""


def test_text_stands_out_and_everything_that_can_be_reached_has_a_name(study, tmp_path):
    found = examine(study / "lifsi-dme-tte" / "report.html", 1280, CONTRAST, tmp_path)
    assert found.pop("seen") > 400 and found.pop("figures") > 30
    assert found == {"poor": [], "unnamed": 0, "silent": 0}


def printed_pages(page, tmp_path):
    pdf = tmp_path / "page.pdf"
    browse(page, tmp_path, f"--print-to-pdf={pdf}", "--no-pdf-header-footer")
    return len(re.findall(rb"/Type\s*/Page[^s]", pdf.read_bytes()))


def test_a_page_prints_whole_with_what_is_folded_on_screen(study, tmp_path):
    page, short = study / "lifsi-dme-tte" / "report.html", tmp_path / "short.html"
    short.write_text(re.sub(r"<details[^>]*>.*?</details>", "", page.read_text("utf-8"), flags=re.S), "utf-8")
    assert 5 <= printed_pages(short, tmp_path) < printed_pages(page, tmp_path) <= 34


def test_print_shows_the_still_pictures_and_never_an_empty_stage(study, tmp_path):
    text = (study / "lifsi-dme-tte" / "report.html").read_text("utf-8")
    views = text.index('<div class="scenes">'), text.index("</figure>\n</div>\n</div>", text.index('class="scenes"'))
    head = (
        text[: text.index("<main")]
        + "<main>"
        + text[views[0] : views[1]]
        + "</figure></div></div></main></body></html>"
    )
    stage = re.search(r'<div class="stage".*?</div>\n(?=<div class="figures stills">)', head, re.S)[0]
    bodies = {
        "shown": head.replace(" hidden>", ">"),  # as if a script had shown the stage and the buttons
        "without": re.sub(r"<button.*?</button>", "", head.replace(stage, "")),
        "nothing": head[: head.index("<main>")] + "</body></html>",
    }
    size = {}
    for name, body in bodies.items():
        page, pdf = tmp_path / f"{name}.html", tmp_path / f"{name}.pdf"
        page.write_text(body, encoding="utf-8")
        browse(page, tmp_path, f"--print-to-pdf={pdf}", "--no-pdf-header-footer")
        size[name] = pdf.stat().st_size
    # Spheres and sticks are what makes the one file larger; the words of a stage would be seen in its size, too.
    assert size["shown"] > size["nothing"] + 4000
    assert abs(size["shown"] - size["without"]) < 150


def test_a_page_can_be_photographed(study, tmp_path):
    png = tmp_path / "page.png"
    browse(study / "lifsi-dme-tte" / "report.html", tmp_path, f"--screenshot={png}", "--window-size=1280,2000")
    assert png.read_bytes()[16:24] == (1280).to_bytes(4, "big") + (2000).to_bytes(4, "big")
