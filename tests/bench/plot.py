# SPDX-License-Identifier: MIT
"""The results as an SVG, drawn by hand: no library, the same input gives the same bytes.

Above: each row of the table as a share of its bound, on a logarithmic scale; left of the line is
good. Below: the medians of each group's contenders, each group on a scale of its own.

    plot.py bench.json > bench.svg
"""

import json
import math
import sys
from xml.sax.saxutils import escape

WIDTH = 1100
LABEL = 400
RIGHT = 150
LINE = 22
FONT = "font-family='DejaVu Sans, Helvetica, sans-serif'"
COLOURS = {"ok": "#2a7f4f", "OVER": "#c0392b", "-": "#8a8f98"}
OURS, THEIRS = "#2f6fb0", "#b9c2cc"
LEAST, MOST = 1 / 16, 16  # the scale of the upper part


class Canvas:
    def __init__(self):
        self.parts = []
        self.y = 16

    def text(self, x, y, text, size=12, anchor="start", colour="#222", weight="normal"):
        self.parts.append(
            "<text x='%.1f' y='%.1f' font-size='%d' text-anchor='%s' fill='%s' font-weight='%s'>%s"
            "</text>" % (x, y, size, anchor, colour, weight, escape(text)))

    def bar(self, x, y, width, height, colour):
        self.parts.append("<rect x='%.1f' y='%.1f' width='%.1f' height='%.1f' fill='%s'/>"
                          % (x, y, max(width, 0.5), height, colour))

    def line(self, x1, y1, x2, y2, colour="#ccc", dash=""):
        self.parts.append("<line x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f' stroke='%s'%s/>" % (
            x1, y1, x2, y2, colour, " stroke-dasharray='%s'" % dash if dash else ""))

    def svg(self):
        return ("<svg xmlns='http://www.w3.org/2000/svg' width='%d' height='%d' viewBox='0 0 %d %d' "
                "%s>\n<rect width='100%%' height='100%%' fill='white'/>\n%s\n</svg>\n"
                % (WIDTH, self.y + 10, WIDTH, self.y + 10, FONT, "\n".join(self.parts)))


def short(text, limit):
    return text if len(text) <= limit else text[: limit - 1] + "…"


def amount(row, key):
    value, unit = row[key], row["unit"]
    if value is None:
        return "?"
    if unit == "":
        return "%d" % value
    return ("%.2f" if value < 100 else "%.0f") % value + ("×" if unit == "×" else " " + unit)


def place(share):
    """x of a share of the bound."""
    share = min(max(share, LEAST), MOST)
    whole = math.log(MOST / LEAST)
    return LABEL + (WIDTH - LABEL - RIGHT) * math.log(share / LEAST) / whole


def draw_rows(canvas, rows):
    top = canvas.y + 44
    bottom = top + LINE * len(rows)
    canvas.text(12, canvas.y + 16, "Measured : bound", 15, weight="bold")
    for power in range(-4, 5):
        x = place(2.0 ** power)
        label = "bound" if power == 0 else "%d×" % 2 ** power if power > 0 else "1/%d" % 2 ** -power
        canvas.line(x, top - 4, x, bottom, "#444" if power == 0 else "#e3e6ea")
        canvas.text(x, top - 10, label, 11, "middle", "#555")
    for at, row in enumerate(rows):
        y = top + LINE * at
        canvas.text(LABEL - 10, y + 15, short(row["text"], 58), 12, "end")
        if row["value"] is None:
            canvas.text(place(1) + 6, y + 15, "failed: " + short(row["error"] or "", 60), 11,
                        colour=COLOURS["OVER"])
            continue
        share = row["value"] / row["bound"] if row["bound"] else (LEAST if not row["value"] else MOST)
        ends = sorted((place(1), place(share)))
        canvas.bar(ends[0], y + 4, ends[1] - ends[0], LINE - 8, COLOURS[row["verdict"]])
        canvas.text(WIDTH - RIGHT + 12, y + 15, "%s of %s" % (amount(row, "value"),
                                                              amount(row, "bound")), 12)
    canvas.y = bottom + 24


def median(values):
    values = sorted(values)
    half = len(values) // 2
    return values[half] if len(values) % 2 else (values[half - 1] + values[half]) / 2


def draw_group(canvas, name, contenders):
    medians = [(who, median([run["seconds"] for run in one["runs"]]) if one["runs"] else None)
               for who, one in contenders.items()]
    most = max((value for _who, value in medians if value), default=1)
    canvas.text(12, canvas.y + 14, "%s: seconds" % name, 14, weight="bold")
    canvas.y += 22
    for who, value in medians:
        canvas.text(LABEL - 10, canvas.y + 15, short(who, 58), 12, "end")
        if value is None:
            canvas.text(LABEL + 4, canvas.y + 15, "failed", 11, colour=COLOURS["OVER"])
        else:
            width = (WIDTH - LABEL - RIGHT) * value / most
            canvas.bar(LABEL, canvas.y + 4, width, LINE - 8, OURS if is_ours(name, who) else THEIRS)
            canvas.text(LABEL + width + 6, canvas.y + 15, "%.3f" % value, 12)
        canvas.y += LINE
    canvas.y += 14


def is_ours(group, who):
    return "mailfs" in who or group in ("cold-walks",) or who in ("cat", "head -c 1000")


def draw(results):
    """The SVG text for what report.as_json() has written."""
    canvas = Canvas()
    facts, asked = results["machine"], results["settings"]
    canvas.text(12, canvas.y + 12, "mailfs bench: %d ms, %d connections, TLS, medians of %d" % (
        asked["rtt_ms"], asked["connections"], asked["runs"]), 17, weight="bold")
    canvas.text(12, canvas.y + 32, "%s, %s CPUs, kernel %s, %s, commit %s" % (
        facts["cpu"], facts["cpus"], facts["kernel"], facts["filesystem"], facts["commit"]), 11,
        colour="#555")
    canvas.y += 46
    bounded = [row for row in results["rows"] if row["bound"] is not None]
    if bounded:
        draw_rows(canvas, bounded)
    for name, contenders in results["samples"].items():
        if name != "memory":  # there is nothing to be seen in seconds
            draw_group(canvas, name, contenders)
    return canvas.svg()


if __name__ == "__main__":
    with open(sys.argv[1]) as results_file:
        sys.stdout.write(draw(json.load(results_file)))
