"""A page as its reader has it: tables, words and links; and the results that it is made from."""

from __future__ import annotations

import html.parser

import report_inputs

from lmbmd.report.inputs import load_results


class Document(html.parser.HTMLParser):
    """Tags with their attributes, tables as lists of rows, and the visible text."""

    VOID = frozenset({"meta", "link", "br", "img", "input"})

    def __init__(self, text):
        super().__init__()
        self.tags, self.tables, self.words, self.open, self.cell = [], [], [], [], None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr" and self.tables:
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.cell = {"tag": tag, "text": "", "hrefs": [], "class": dict(attributes).get("class", "")}
            self.tables[-1][-1].append(self.cell)
        elif tag == "a" and self.cell:
            self.cell["hrefs"].append(dict(attributes).get("href", ""))

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()
        if tag in ("td", "th"):
            self.cell = None

    def handle_data(self, data):
        if self.cell is not None:
            self.cell["text"] += data
        if not {"style", "script"} & set(self.open):
            self.words.append(data)

    def values(self, name):
        return [attributes[name] for _, attributes in self.tags if name in attributes]

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def load(folder, **changes):
    recipe = {"title": report_inputs.BOTTLES[folder.name]["title"], **report_inputs.RECIPE}
    return load_results(folder, report_inputs.MANIFEST, recipe | changes)


EVIL = "<script>alert('x')</script>"
