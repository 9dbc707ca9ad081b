"""Tables and plots of what was measured: target/lab/expN.csv to expN.md, expN-*.png and .svg.

    plots.py [EXPERIMENT ...]     needs Debian's python3-matplotlib
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "testbed")]

import matplotlib  # noqa: E402

matplotlib.use("Agg")

import matplotlib.pyplot as pyplot  # noqa: E402

from lab.experiments import load, numbers  # noqa: E402
from lab.rows import OUTPUT, csv_path, read_csv  # noqa: E402
from lab.systems import all_systems  # noqa: E402
from paths import REPO  # noqa: E402

Row = dict

KERNELS = {  # what forwards without being a domU: label and colour
    "native routed": ("native Linux, routed", "#222222"),
    "native bridged": ("native Linux, bridged", "#888888"),
    "dom0 routed": ("dom0, routed", "#7570b3"),
    "dom0 bridged": ("dom0, bridged", "#b3a6d9"),
    "generator alone": ("generator and sink alone", "#bbbbbb"),
}
LOOK = {
    "figure.dpi": 110, "savefig.bbox": "tight", "font.size": 10, "axes.grid": True, "grid.alpha": 0.3,
    "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False, "lines.linewidth": 1.8,
    "lines.markersize": 4, "svg.hashsalt": "ringway",
}  # fmt: skip


class Plots:
    """Figures of one experiment, all in one style and one set of colours."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.written: list[Path] = []
        self._styles = dict(KERNELS)
        self._styles |= {system.name: (system.label, system.colour) for system in all_systems()}

    def label(self, name: str) -> str:
        """How a system is called."""
        return self._styles.get(name, (name, ""))[0]

    def colour(self, name: str) -> str:
        """A system's colour."""
        return self._styles.get(name, (name, "#444444"))[1]

    def figure(self, columns: int = 1, lines: int = 1, *, width: float = 6.5, height: float = 4.0):
        """A figure with some axes, always as a list."""
        sizes = (width * columns if columns > 1 else width, height * lines)
        figure, axes = pyplot.subplots(lines, columns, figsize=sizes, squeeze=False)
        return figure, list(axes.flat)

    def save(self, figure, name: str, title: str) -> None:
        """Write a figure as PNG and SVG."""
        figure.suptitle(title, fontsize=11)
        figure.tight_layout()
        for kind in ("png", "svg"):
            path = OUTPUT / f"exp{self.number}-{name}.{kind}"
            figure.savefig(path, metadata={"Date": None} if kind == "svg" else None)
            self.written.append(path)
        pyplot.close(figure)

    def rates(self, axes, rows: Iterable[Row], name: Callable[[Row], str] = lambda row: row["system"], **style) -> None:
        """Forwarded over offered rate, a curve for each system, and the line where nothing is lost."""
        rows = list(rows)
        most = max((row["offered_pps"] for row in rows), default=1) / 1000
        axes.plot([0, most], [0, most], color="#cccccc", linestyle=":", linewidth=1)
        for system, points in groups(rows, name).items():
            points.sort(key=lambda row: row["offered_pps"])
            xs = [row["offered_pps"] / 1000 for row in points]
            ys = [row["forwarded_pps"] / 1000 for row in points]
            axes.plot(xs, ys, marker="o", color=self.colour(system), label=self.label(system), **style)
        axes.set_xlabel("offered, 1000 frames/s")
        axes.set_ylabel("forwarded, 1000 frames/s")
        axes.set_xlim(0)
        axes.set_ylim(0)

    def bars(self, axes, groups_: dict[str, dict[str, float]], unit: str) -> None:
        """A group of bars for each key, a bar for each system in it."""
        systems = list(dict.fromkeys(system for group in groups_.values() for system in group))
        width = 0.8 / max(1, len(systems))
        for at, system in enumerate(systems):
            xs = [index + (at - (len(systems) - 1) / 2) * width for index in range(len(groups_))]
            ys = [group.get(system) or 0 for group in groups_.values()]
            axes.bar(xs, ys, width * 0.92, color=self.colour(system), label=self.label(system))
        axes.set_xticks(range(len(groups_)), groups_.keys())
        axes.set_ylabel(unit)
        axes.grid(axis="x", visible=False)


def groups(rows: Iterable[Row], key: Callable[[Row], object]) -> dict:
    """The rows by a key, in the order of their first."""
    found: dict = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return found


def table(head: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    """A Markdown table; numbers to three or four digits."""
    text = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    text += [f"| {' | '.join(map(_cell, line))} |" for line in lines]
    return "\n".join(text) + "\n"


def pivot(rows: Iterable[Row], line: Callable[[Row], str], column: Callable[[Row], str], value: Callable[[Row], object], corner: str, heads: Sequence[str] = ()) -> str:
    """A table with a line and a column for each value of two keys; `heads` may say in what order."""
    rows = list(rows)
    heads = heads or list(dict.fromkeys(map(column, rows)))
    found = {(line(row), column(row)): value(row) for row in rows}
    return table([corner, *map(str, heads)], ([key, *(found.get((key, head), "") for head in heads)] for key in dict.fromkeys(map(line, rows))))


def _cell(value: object) -> str:
    if isinstance(value, int | float) and abs(value) >= 1000:
        return f"{value:,.0f}"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
    return "" if value is None else str(value)


def number(text: str) -> object:
    """A cell of a CSV file as what it is."""
    try:
        value = float(text)
    except ValueError:
        return text or None
    return int(value) if value.is_integer() and "." not in text and "e" not in text else value


def main() -> None:
    """Draw what the command line names."""
    pyplot.rcParams.update(LOOK)
    for chosen in [int(word) for word in sys.argv[1:]] or numbers():
        if not csv_path(chosen).exists():
            continue
        rows = [{key: number(cell) for key, cell in row.items()} for row in read_csv(chosen)]
        experiment, plots = load(chosen), Plots(chosen)
        text = experiment.report(rows, plots)
        path = OUTPUT / f"exp{chosen}.md"
        path.write_text(text)
        print(f"\nExperiment {chosen}. {experiment.TITLE}\n\n{text}")
        print("written:", ", ".join(str(each.relative_to(REPO)) for each in (path, *plots.written)))


if __name__ == "__main__":
    main()
