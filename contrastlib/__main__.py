"""The command line: `python -m contrastlib`, installed as `contrastlib`."""

import argparse
import sys

from . import __version__


def main(arguments: list[str] | None = None) -> int:
    """Run one command; bad input is one line on stderr and exit code 2."""
    options = parser().parse_args(arguments)
    try:
        return {"train": train, "bench": bench, "info": info}[options.command](options)
    except (ValueError, OSError) as error:
        print(f"contrastlib {options.command}: {error}", file=sys.stderr)
        return 2


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(prog="contrastlib", description=__doc__.splitlines()[0])
    top.add_argument("--version", action="version", version=f"contrastlib {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    device = {"default": None, "help": "cpu, cuda, cuda:N or mps (default: the best there is)"}

    one = commands.add_parser(
        "train",
        help="train one recipe, measure the encoder, write the outcome",
        description="Train a recipe and write DIR/ID.json, ID being the hash of the recipe. A run that was interrupted "
        "goes on from its last epoch; one that is there is not repeated.",
    )
    one.add_argument("recipe", choices=("live", "small", "paper"), help="live: digits, seconds; paper: needs a GPU")
    one.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="such as tau=0.1; may be repeated")
    one.add_argument("--out", default="runs", metavar="DIR", help="where outcomes and checkpoints go (default: runs)")
    one.add_argument("--device", **device)
    one.add_argument("--quiet", action="store_true", help="no progress bar")

    table = commands.add_parser(
        "bench",
        help="time the losses, metrics, augmentation and a training step against the floor and other libraries",
        description="Time each row of the speed table interleaved with its baselines, as ratios to the bare matrix "
        "products. Baselines come with: pip install 'contrastlib[bench]'. Without them their lines are left out.",
    )
    table.add_argument("--device", **device)
    table.add_argument("--threads", type=int, default=1, help="processor threads (default: 1)")
    table.add_argument(
        "--rounds",
        type=int,
        default=7,
        help="interleaved rounds, of which medians are reported; fewer in rows that take over a minute (default: 7)",
    )
    table.add_argument("--only", default="", metavar="TEXT", help="only the rows whose name contains TEXT")
    table.add_argument("--small", action="store_true", help="tiny sizes: a check that all runs, not a measurement")
    table.add_argument("--json", metavar="FILE", help="also write the table, the hardware and the versions to FILE")

    commands.add_parser("info", help="say which versions, device and processor are in use")
    return top


# Each command imports what it needs: torch takes seconds, and a wrong option should not wait for it.


def train(options: argparse.Namespace) -> int:
    """Train one recipe and print its measures; exit code 1 if it diverged."""
    from . import recipes
    from . import train as training

    recipe = recipes.by_name(options.recipe, options.set)
    record = training.run(recipe, options.out, device=options.device, progress=not options.quiet)
    epochs = len(record["history"].get("epoch", []))
    print(f"run {record['id']} {record['status']} after {epochs} epochs, {record['seconds']:.0f} s")
    for name, value in record["metrics"].items():
        if not isinstance(value, list):
            print(f"{name} {value:.4g}")
    return 0 if record["status"] == "finished" else 1


def bench(options: argparse.Namespace) -> int:
    """Measure and print the table of speeds."""
    from .bench import run

    run(options.device, options.threads, options.rounds, options.only, options.small, options.json)
    return 0


def info(options: argparse.Namespace) -> int:
    """Print versions, device and processor."""
    from .bench import hardware
    from .build import pick_device

    print(f"contrastlib {__version__}")
    for name, value in hardware(pick_device(None)).items():
        print(f"{name} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
