"""Runs one part of an experiment in dom0; its rows go to a file, a line of JSON each.

    python3 -m lab.inside.run EXPERIMENT BED QUICK PART ROWS
"""

import json
import sys

from lab.beds import BEDS
from lab.experiments import Context, load


def main() -> None:
    """Do what the command line says."""
    number, bed, quick, part, rows = sys.argv[1:]
    experiment = load(int(number))
    with open(rows, "w") as file:

        def record(row: dict) -> None:
            unknown = set(row) - set(experiment.COLUMNS)
            if unknown:
                raise KeyError(f"columns {unknown} are not declared")
            file.write(json.dumps({"bed": bed, **row}) + "\n")
            file.flush()
            print("  ".join(f"{key}={_short(value)}" for key, value in row.items()), flush=True)

        experiment.measure(Context(bed, BEDS[bed], quick == "quick", record), **json.loads(part))


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) and abs(value) < 1000 else f"{value:.0f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
