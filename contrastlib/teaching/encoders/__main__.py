"""Make the trained encoders' files from finished runs.

    python -m contrastlib.teaching.encoders RUNS [--out DIR] [--train]

RUNS holds what `contrastlib train small --set dataset=fashion-mnist --set tau=0.07 --out RUNS` and
its like have written: ID.json and ID/checkpoint.pt of each run. With --train those that are missing
are trained first. Without --out the files that come with the package are written anew.
"""

import argparse
import sys
from pathlib import Path

from contrastlib.teaching.encoders.loading import FOLDER
from contrastlib.teaching.encoders.make import make_all


def main(arguments: list[str] | None = None) -> int:
    """The command line; bad input is one line on stderr and exit code 2."""
    parser = argparse.ArgumentParser(
        prog="python -m contrastlib.teaching.encoders",
        description="Make the trained encoders' files from finished runs.",
    )
    parser.add_argument("runs", type=Path, help="the folder of the runs: ID.json, ID/checkpoint.pt")
    parser.add_argument("--out", type=Path, default=FOLDER, help="where to write the files")
    parser.add_argument("--train", action="store_true", help="train the runs that are missing")
    options = parser.parse_args(arguments)
    try:
        paths = make_all(options.runs, options.out, options.train)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    for path in paths:
        print(f"{path}: {path.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
