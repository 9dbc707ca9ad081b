"""The CSV files of the lab, and how far two runs of an experiment differ."""

import csv
from pathlib import Path

from paths import REPO

from .experiments import load

OUTPUT = REPO / "target" / "lab"


def csv_path(number: int, folder: Path = OUTPUT) -> Path:
    """Where an experiment's raw numbers are."""
    return folder / f"exp{number}.csv"


def write_csv(number: int, rows: list[dict]) -> Path:
    """Keep an experiment's rows; the first line names the columns with their units."""
    columns = load(number).COLUMNS
    path = csv_path(number)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(f"{name} ({unit})" for name, unit in columns.items())
        for row in rows:
            writer.writerow(_cell(row.get(name)) for name in columns)
    return path


def read_csv(number: int, folder: Path = OUTPUT) -> list[dict[str, str]]:
    """An experiment's rows, by the names of the columns without their units."""
    with csv_path(number, folder).open(newline="") as file:
        return [{key.split(" (")[0]: cell for key, cell in row.items()} for row in csv.DictReader(file)]


def compare(other: Path, experiments: list[int]) -> int:
    """Print how far two runs of the same experiments differ, column by column; how many were compared."""
    compared = 0
    for number in experiments:
        if not (csv_path(number).exists() and csv_path(number, other).exists()):
            continue
        ours, theirs = _of_both(read_csv(number), read_csv(number, other))
        if len(ours) != len(theirs):
            print(f"experiment {number}: {len(ours)} rows here, {len(theirs)} there")
            continue
        compared += 1
        print(f"experiment {number}, {len(ours)} rows; difference in % of the mean: median, 90th percentile, largest")
        for column in load(number).COLUMNS:
            gaps = [_gap(a[column], b[column]) for a, b in zip(ours, theirs, strict=True)]
            known = sorted(gap for gap in gaps if gap is not None)
            if known:
                at = [known[int(part * (len(known) - 1))] for part in (0.5, 0.9, 1)]
                print(f"  {column:30}" + "".join(f"{100 * gap:9.2f}" for gap in at))
    return compared


def _of_both(ours: list[dict], theirs: list[dict]) -> tuple[list[dict], list[dict]]:
    """The rows of the systems that both have."""
    systems = {row.get("system") for row in ours} & {row.get("system") for row in theirs}
    ours, theirs = ([row for row in rows if row.get("system") in systems] for rows in (ours, theirs))
    return ours, theirs


def _gap(a: str, b: str) -> float | None:
    try:
        x, y = float(a), float(b)
    except ValueError:
        return None
    return abs(x - y) / (abs(x + y) / 2) if x + y else 0.0


def _cell(value: object) -> object:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else value
