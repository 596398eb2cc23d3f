# SPDX-License-Identifier: GPL-2.0
"""Plots of what was measured, as SVG."""

import math
from html import escape
from pathlib import Path

from results import GOALS, Results

WIDTH, HEIGHT = 720, 440
LEFT, RIGHT, TOP, BOTTOM = 80, 170, 40, 60
COLOURS = ("#c0392b", "#2471a3", "#e59866", "#7fb3d5")


def svg(title: str, body: list[str], height: int = HEIGHT) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif" '
        f'font-size="12">\n<rect width="100%" height="100%" fill="white"/>\n'
        f'<text x="{LEFT}" y="22" font-size="15">{escape(title)}</text>\n' + "\n".join(body) + "\n</svg>\n"
    )


def power(value: float) -> str:
    """A tick of an axis: 10 000 as 10⁴."""
    return "10" + "".join("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(d)] for d in str(round(math.log10(value))))


def binary(value: float) -> str:
    """A tick of an axis of bytes."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            return f"{value:g} {unit}"
        value /= 1024
    return ""


def curves(title: str, x_label: str, y_label: str, lines: dict[str, list[tuple[int, int]]], sizes: bool) -> str:
    """Lines over logarithmic axes; `sizes` has the x axis count in bytes."""
    lines = {name: points for name, points in lines.items() if points}
    xs = [x for points in lines.values() for x, _ in points]
    ys = [y for points in lines.values() for _, y in points]
    base = 8 if sizes else 10
    x0, x1 = math.log(min(xs)), math.log(max(xs))
    y0, y1 = math.floor(math.log10(min(ys))), math.ceil(math.log10(max(ys)))

    def px(x: float) -> float:
        return LEFT + (math.log(x) - x0) / (x1 - x0 or 1) * (WIDTH - LEFT - RIGHT)

    def py(y: float) -> float:
        return HEIGHT - BOTTOM - (math.log10(y) - y0) / (y1 - y0 or 1) * (HEIGHT - TOP - BOTTOM)

    body = []
    for exponent in range(y0, y1 + 1):
        y = py(10**exponent)
        body.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        body.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{power(10**exponent)}</text>')
    tick = min(xs)
    while tick <= max(xs):
        label = binary(tick) if sizes else f"{tick}"
        body.append(f'<line y1="{TOP}" y2="{HEIGHT - BOTTOM}" x1="{px(tick):.1f}" x2="{px(tick):.1f}" stroke="#eee"/>')
        body.append(f'<text x="{px(tick):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle" font-size="10">{label}</text>')
        tick *= base
    body.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 16}" text-anchor="middle">{escape(x_label)}</text>')
    body.append(
        f'<text transform="translate(18 {HEIGHT / 2}) rotate(-90)" text-anchor="middle">{escape(y_label)}</text>'
    )
    for index, (name, points) in enumerate(lines.items()):
        colour = COLOURS[index % len(COLOURS)]
        path = " ".join(f"{px(x):.1f},{py(y):.1f}" for x, y in points)
        body.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        body += [f'<circle cx="{px(x):.1f}" cy="{py(y):.1f}" r="3" fill="{colour}"/>' for x, y in points]
        y = TOP + 10 + 20 * index
        body.append(f'<rect x="{WIDTH - RIGHT + 14}" y="{y - 9}" width="12" height="12" fill="{colour}"/>')
        body.append(f'<text x="{WIDTH - RIGHT + 32}" y="{y + 2}">{escape(name)}</text>')
    return svg(title, body)


def bars(measured: Results) -> str:
    """The ratio of each operation, with a mark at its goal."""
    rows = []
    for (boot, name), sets in measured.values.items():
        if boot in ("operations", "devices") and set(sets) == {"c", "rust"} and sets["c"].median:
            rows.append((name, sets["rust"].median / sets["c"].median))
    left, width = 210, WIDTH - 210 - 60
    most = max(1.0, *(ratio for _, ratio in rows))
    body = []
    for index, (name, ratio) in enumerate(rows):
        y = TOP + 18 * index
        goal = GOALS.get(name)
        colour = "#7f8c8d" if goal is None else "#27ae60" if round(ratio, 2) <= goal else "#c0392b"
        body.append(f'<text x="{left - 8}" y="{y + 12}" text-anchor="end">{escape(name)}</text>')
        body.append(f'<rect x="{left}" y="{y + 2}" width="{ratio / most * width:.1f}" height="12" fill="{colour}"/>')
        body.append(f'<text x="{left + ratio / most * width + 5:.1f}" y="{y + 12}">{ratio:.2f}</text>')
        if goal is not None:
            x = left + goal / most * width
            body.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y}" y2="{y + 16}" stroke="black" stroke-width="2"/>')
    x = left + width / most
    height = TOP + 18 * len(rows) + 16
    body.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{height - 16}" stroke="#888" stroke-dasharray="4"/>')
    return svg("Instructions, ours / C (mark: goal)", body, height)


def write(measured: Results, out: Path) -> None:
    """Writes the plots for which there are results."""
    if any(boot in ("operations", "devices") for boot, _ in measured.values):
        (out / "operations.svg").write_text(bars(measured))
    for what in ("map", "unmap"):
        sizes = {
            f"{label}, {pages}": measured.series("growth", f"{what}-size-{key}-", which)
            for key, pages in (("4k", "4 KiB pages"), ("2m", "2 MiB pages"))
            for which, label in (("c", "C"), ("rust", "ours"))
        }
        if any(sizes.values()):
            title = f"One {what} by size"
            (out / f"{what}-by-size.svg").write_text(curves(title, "bytes mapped", "instructions", sizes, True))
        counts = {
            label: measured.series("growth", f"{what}-count-", which) for which, label in (("c", "C"), ("rust", "ours"))
        }
        if any(counts.values()):
            title = "Many maps of 4 KiB" if what == "map" else "Unmapping them all at once"
            (out / f"{what}-by-count.svg").write_text(curves(title, "mappings", "instructions", counts, False))
