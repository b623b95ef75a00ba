"""What was measured, as JSON, as a Markdown table, and as a plot of what has a bar."""

import json
import os

WIDTH, ROW, LEFT = 760, 26, 330


def write(results, machine, folder):
    os.makedirs(folder, exist_ok=True)
    flat = {name: entry["median"] for name, entry in flattened(results).items()}
    document = flat | {"parts": results, "machine": machine}
    with open(os.path.join(folder, "latest.json"), "w") as file:
        json.dump(document, file, indent=1)
        file.write("\n")
    with open(os.path.join(folder, "latest.md"), "w") as file:
        file.write(markdown(results, machine))
    with open(os.path.join(folder, "latest.svg"), "w") as file:
        file.write(plot(results))


def flattened(results):
    """By name alone; only memory is called alike in every part."""
    return {
        f"{part}_{name}" if name.endswith("_mib") else name: entry
        for part, entries in results.items()
        for name, entry in entries.items()
    }


def number(value):
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def bar_text(entry):
    bar = entry.get("bar")
    if bar is None:
        return ""
    text = f"≤ {bar[1:]}" if isinstance(bar, str) else f"≥ {bar}"
    return text if entry["holds"] else f"**{text}**"


def markdown(results, machine):
    lines = [f"{machine['processor']}, {machine['cpus']} cores, load before {machine['load_before']}", ""]
    lines += ["| part | figure | median | spread | rounds | bar |", "|---|---|---:|---:|---:|---|"]
    for part, entries in results.items():
        for name, e in entries.items():
            spread = f"{e['spread']:.0%}" + (" (!)" if "warning" in e else "")
            lines.append(f"| {part} | {name} | {number(e['median'])} | {spread} | {e['rounds']} | {bar_text(e)} |")
    return "\n".join(lines) + "\n"


def share(entry):
    """How far towards its bar: 1 is the bar, more is better."""
    bar = entry["bar"]
    return float(bar[1:]) / entry["median"] if isinstance(bar, str) else entry["median"] / bar


def plot(results):
    """Every figure with a bar, as a part of it; the line is the bar."""
    rows = [(f"{part}: {name}", entry) for part, entries in results.items() for name, entry in entries.items() if "bar" in entry]
    most = max([share(entry) for _, entry in rows] + [1.5])
    scale = (WIDTH - LEFT - 90) / most
    height = ROW * len(rows) + 30
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="12">']
    for at, (name, entry) in enumerate(rows):
        y, colour = 10 + at * ROW, "#4a8" if entry["holds"] else "#c64"
        out.append(f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{name}</text>')
        out.append(f'<rect x="{LEFT}" y="{y}" width="{share(entry) * scale:.1f}" height="{ROW - 8}" fill="{colour}"/>')
        out.append(f'<text x="{LEFT + share(entry) * scale + 5:.1f}" y="{y + 14}">{number(entry["median"])}</text>')
    out.append(f'<line x1="{LEFT + scale:.1f}" x2="{LEFT + scale:.1f}" y1="0" y2="{height - 15}" stroke="#333"/>')
    out.append(f'<text x="{LEFT + scale:.1f}" y="{height - 3}" text-anchor="middle">the bar</text></svg>')
    return "\n".join(out) + "\n"
