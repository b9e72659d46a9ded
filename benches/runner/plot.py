"""The sweeps as SVG, one file each: a line for each server, the number of connections or rooms on a logarithmic axis."""
import math
from html import escape

from report.figures import SCENARIOS, SERVERS, key_of

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 64, 150, 44, 52
COLOURS = {"tokio": "#c2410c", "tokio-current": "#f97316", "async-std": "#ea9a2d", "floor": "#475569", "floor-1w": "#94a3b8", "socketioxide": "#2563eb",
           "socketioxide-nodelay": "#7dd3fc", "node": "#15803d", "node-native": "#86efac", "bun": "#a21caf", "python": "#854d0e"}


def draw_all(data, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for sweep, rows in data["sweeps"].items():
        lines = {}
        for row in (name for name in SERVERS if name in rows):
            points = [point for point in rows[row] if key_of(sweep) in point]
            if sweep == "sweep-idle":
                lines[row] = [(p["x"], (p["rss_now_kib"] - p["rss_base_kib"]) / 1024) for p in points]
                if SERVERS[row]["kind"] == "ours":
                    lines[f"{row}, gone"] = [(p["x"], (p["rss_gone_kib"] - p["rss_base_kib"]) / 1024) for p in points]
            else:
                lines[row] = [(p["x"], p[key_of(sweep)]) for p in points]
        path = folder / f"{sweep}.svg"
        path.write_text(draw(SCENARIOS[sweep], {name: line for name, line in lines.items() if line}))
        print(f"drawn: {path}")


def draw(sweep, lines):
    xs = [x for line in lines.values() for x, _ in line]
    low, high = math.log10(min(xs)), math.log10(max(xs))
    step, top = scale(max(y for line in lines.values() for _, y in line))

    def at(x, y):
        return (LEFT + (math.log10(x) - low) / ((high - low) or 1) * (WIDTH - LEFT - RIGHT),
                HEIGHT - BOTTOM - max(y, 0) / top * (HEIGHT - TOP - BOTTOM))

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
           f'<text x="{LEFT}" y="24" font-size="13" font-weight="bold">{escape(sweep["title"])}</text>']
    for i in range(round(top / step) + 1):
        y = at(10**low, i * step)[1]
        out.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="#e2e8f0"/>')
        out.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{i * step:g}</text>')
    for x in sorted(set(xs)):
        px = at(x, 0)[0]
        out.append(f'<line x1="{px:.1f}" y1="{HEIGHT - BOTTOM}" x2="{px:.1f}" y2="{HEIGHT - BOTTOM + 5}" stroke="#64748b"/>')
        out.append(f'<text x="{px:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{x:,}</text>')
    out.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle">{escape(sweep["x"])}</text>')
    middle = (TOP + HEIGHT - BOTTOM) / 2
    out.append(f'<text x="16" y="{middle}" text-anchor="middle" transform="rotate(-90 16 {middle})">{escape(sweep["y"])}</text>')
    # Names at the ends of the lines, moved apart where they would touch.
    labels = sorted((at(*line[-1])[1], name) for name, line in lines.items())
    for i in range(1, len(labels)):
        labels[i] = (max(labels[i][0], labels[i - 1][0] + 14), labels[i][1])
    for y, name in labels:
        row, _, gone = name.partition(",")
        colour, line = COLOURS[row], [at(*point) for point in lines[name]]
        dash = ' stroke-dasharray="5 4"' if gone else ""
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in line)
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        out += [f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3" fill="{colour}"/>' for px, py in line]
        out.append(f'<text x="{WIDTH - RIGHT + 10}" y="{y + 4:.1f}" fill="{colour}">{escape(name)}</text>')
    return "\n".join([*out, "</svg>", ""])


def scale(highest):
    """A round step of the axis, and its end."""
    magnitude = 10 ** math.floor(math.log10(highest / 5 or 1))
    step = next(magnitude * factor for factor in (1, 2, 5, 10) if magnitude * factor * 6 >= highest)
    return step, math.ceil(highest / step) * step
