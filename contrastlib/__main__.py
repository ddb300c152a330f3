"""The command line: `python -m contrastlib`, installed as `contrastlib`."""

import argparse
import sys

from contrastlib import __version__


def main(arguments: list[str] | None = None) -> int:
    """Run one command; bad input is one line on stderr and exit code 2."""
    options = parser().parse_args(arguments)
    try:
        commands = {"train": train, "sweep": sweep, "figures": figures, "bench": bench, "info": info}
        return commands[options.command](options)
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
        "goes on from its last epoch; one that is there is not repeated. On N GPUs: torchrun --nproc-per-node N -m "
        "contrastlib train ...; the recipe's batch is the whole batch, which they share.",
    )
    one.add_argument(
        "recipe",
        choices=("live", "small", "desk", "paper"),
        help="live: digits, a minute; small: minutes; desk: hours; paper: needs a GPU",
    )
    one.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="such as tau=0.1; may be repeated")
    one.add_argument("--out", default="runs", metavar="DIR", help="where outcomes and checkpoints go (default: runs)")
    one.add_argument("--device", **device)
    one.add_argument("--compile", action="store_true", help="torch.compile the encoder: slower to start, then faster")
    one.add_argument("--quiet", action="store_true", help="no progress bar")

    many = commands.add_parser(
        "sweep",
        help="train all runs of a figure or table that have no outcome yet, here or on Slurm",
        description="Train a grid of runs, each in a process of its own, and write DIR/ID.json for each. Runs whose "
        "outcome is in DIR, or came with the library, are not repeated; runs that were broken off go on from their "
        "last epoch; a run that fails costs no other. Exit code 1 if any failed. The same command goes on after "
        "anything: Ctrl-C, a crash, a time limit.",
        epilog="examples: sweep table1 --dry-run; sweep all --recipe paper --dataset cifar10 svhn --slurm "
        "gpus_per_node=1 slurm_partition=gpu slurm_array_parallelism=8",
    )
    many.add_argument("grid", metavar="GRID", help="table1, curves, all ... (an unknown name lists them)")
    many.add_argument("--recipe", choices=("live", "small", "desk", "paper"), default="small", help="(default: small)")
    many.add_argument("--dataset", nargs="+", metavar="NAME", help="one or more (default: the recipe's)")
    many.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="for every run, such as epochs=60"
    )
    many.add_argument("--seeds", nargs="+", type=int, metavar="N", help="(default: 0 1 2)")
    many.add_argument("--out", default="runs", metavar="DIR", help="where outcomes and checkpoints go (default: runs)")
    many.add_argument("--device", **device)
    many.add_argument(
        "--workers", type=int, metavar="N", help="runs at a time (default: one for each GPU, or each core)"
    )
    many.add_argument("--again", action="store_true", help="train also the runs whose outcome came with the library")
    many.add_argument("--dry-run", action="store_true", help="only list the runs and estimate the time; needs no data")
    many.add_argument(
        "--tflops",
        type=float,
        metavar="X",
        help="for the estimate: 10^12 operations a second where no speed was measured (default: 4, as of a T4 in "
        "float32; for the small nets 0.05, as of one core)",
    )
    many.add_argument("--price", type=float, metavar="X", help="for the estimate: dollars an hour for one worker")
    many.add_argument(
        "--slurm",
        nargs="*",
        metavar="KEY=VALUE",
        help="submit an array of jobs to Slurm, with settings as submitit's AutoExecutor names them, such as "
        "timeout_min=600; DIR must lie where all nodes see it (needs: pip install 'contrastlib[slurm]')",
    )
    many.add_argument("--no-wait", action="store_true", help="with --slurm: leave as soon as the jobs are submitted")

    drawn = commands.add_parser(
        "figures",
        help="re-make the paper's figures and table from outcomes of runs",
        description="Write Figures 1 to 9, as figN-light and figN-dark, PNG and SVG, with the numbers drawn in "
        "figN.csv; table1.csv, Table 1 of the paper beside our runs; and claims.csv, the verdict on each claim. No "
        "data and no network are needed. What was not run is left out, and the figure says so.",
        epilog="example: sweep all --dataset cifar10; figures --runs runs",
    )
    drawn.add_argument("--out", default="figures", metavar="DIR", help="where to write (default: figures)")
    drawn.add_argument("--runs", metavar="DIR", help="the outcomes to draw (default: those that come with the library)")
    drawn.add_argument(
        "--recipe",
        choices=("small", "desk", "paper"),
        help="the recipe of the runs to draw (default: all that have runs)",
    )
    drawn.add_argument(
        "--dataset", nargs="+", metavar="NAME", help="one or more (default: the paper's, and others with runs)"
    )

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
    from contrastlib.training import loop as training
    from contrastlib.training import recipes

    recipe = recipes.by_name(options.recipe, options.set)
    quiet, compiled = options.quiet, options.compile
    record = training.run(recipe, options.out, device=options.device, progress=not quiet, compile=compiled)
    if record is None:  # the first of several processes speaks for all
        return 0
    epochs = len(record["history"].get("epoch", []))
    print(f"run {record['id']} {record['status']} after {epochs} epochs, {record['seconds']:.0f} s")
    for name, value in record["metrics"].items():
        if not isinstance(value, list):
            print(f"{name} {value:.4g}")
    return 0 if record["status"] == "finished" else 1


def sweep(options: argparse.Namespace) -> int:
    """Train a grid, or say what it would cost; exit code 1 if a run failed, 130 if it was stopped."""
    import signal

    from contrastlib.reproduction import grids
    from contrastlib.reproduction.shipped import FOLDER
    from contrastlib.training import sweep as sweeps
    from contrastlib.training.recipes import parsed

    seeds = grids.SEEDS if options.seeds is None else options.seeds
    datasets = [[f"dataset={name}"] for name in options.dataset or []] or [[]]
    runs = [
        run
        for seed in seeds
        for dataset in datasets
        for run in grids.grid(options.grid, options.recipe, [*dataset, *options.set], [seed])
    ]
    shipped = None if options.again else FOLDER
    common = {"workers": options.workers, "device": options.device, "shipped": shipped}
    if options.dry_run:
        sweeps.dry_run(runs, options.out, tflops=options.tflops, price=options.price, **common)
        return 0
    slurm = None
    if options.slurm is not None:
        slurm = {}
        for setting in options.slurm:
            key, equals, text = setting.partition("=")
            if not (key and equals and text):
                raise ValueError(f"--slurm takes KEY=VALUE, such as timeout_min=600, and this is {setting!r}")
            slurm[key] = parsed(text)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        done = sweeps.sweep(runs, options.out, slurm=slurm, wait=not options.no_wait, **common)
    except KeyboardInterrupt:
        jobs = "" if slurm is None else "; jobs on Slurm go on, until scancel ends them"
        print(f"stopped; the same command goes on from the last epochs{jobs}")
        return 130
    return 1 if any(run["status"] == "failed" for run in done) else 0


def figures(options: argparse.Namespace) -> int:
    """Write the figures, the tables and the verdicts."""
    from contrastlib.reproduction import write_figures

    scales = None if options.recipe is None else [options.recipe]
    write_figures.write(options.out, options.runs, scales, options.dataset)
    return 0


def bench(options: argparse.Namespace) -> int:
    """Measure and print the table of speeds."""
    from contrastlib.bench.speed_table import run

    run(options.device, options.threads, options.rounds, options.only, options.small, options.json)
    return 0


def info(options: argparse.Namespace) -> int:
    """Print versions, device and processor."""
    from contrastlib.bench.speed_table import hardware
    from contrastlib.training.build import pick_device

    print(f"contrastlib {__version__}")
    for name, value in hardware(pick_device(None)).items():
        print(f"{name} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
