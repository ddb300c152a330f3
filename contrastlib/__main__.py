"""The command line: `python -m contrastlib`, installed as `contrastlib`."""

import argparse
import os
import signal
import sys

from contrastlib import __version__
from contrastlib.options import parser


def main(arguments: list[str] | None = None) -> int:
    """Run one command; bad input is one line on stderr and exit code 2."""
    # Idle threads of libgomp spin and take the other processes' time. It reads this when torch is
    # loaded, and so it must be set before.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    options = parser().parse_args(arguments)
    commands = {
        "train": train,
        "sweep": sweep,
        "figures": figures,
        "bench": bench,
        "info": info,
    }
    command = commands[options.command]
    try:
        return command(options)
    except (ValueError, OSError) as error:
        print(f"contrastlib {options.command}: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        print(
            f"contrastlib {options.command}: {error.name} is not installed; "
            "pip install 'contrastlib[train,figures]'",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print(f"contrastlib {options.command}: stopped", file=sys.stderr)
        return 130


# Each command imports what it needs: torch takes seconds, and a wrong option need not wait for it.


def train(options: argparse.Namespace) -> int:
    """Train one recipe and print its measures.

    The exit code is 1 if the run diverged, 130 if it was stopped.
    """
    from contrastlib.training import devices, distributed, one_run, recipes

    recipe = recipes.by_name(options.recipe, options.set)
    devices.set_threads(recipe, options.threads)
    try:
        record = one_run.run(
            recipe,
            options.out,
            device=options.device,
            progress=not options.quiet,
            torch_compile=options.compile,
        )
    except KeyboardInterrupt:
        if distributed.rank() == 0:
            print(one_run.how_to_resume(recipe, options.out))
        return 130
    if record is None:  # of several processes the first speaks for all
        return 0
    print(one_run.describe(record))
    return 0 if record["status"] == "finished" else 1


def sweep(options: argparse.Namespace) -> int:
    """Train a grid, or say what it would cost.

    The exit code is 1 if a run failed, 130 if the sweep was stopped.
    """
    from contrastlib.reproduction import shipped
    from contrastlib.training import distributed, slurm
    from contrastlib.training import sweep as sweeps

    if distributed.env_world_size() > 1:
        raise ValueError(
            "a sweep is one process and starts its own: call it without torchrun, which is for "
            "train"
        )
    if not options.dry_run:
        for name in ("tflops", "price"):
            if getattr(options, name) is not None:
                raise ValueError(f"--{name} is for the estimate: give --dry-run with it")
    runs = grid_runs(options)
    common = {
        "workers": options.workers,
        "threads": options.threads,
        "device": options.device,
        "shipped": None if options.again else shipped.FOLDER,
    }
    jobs = None
    if options.slurm is not None:
        jobs = slurm.parse_options(options.slurm)
    elif options.no_wait:
        raise ValueError("--no-wait is for --slurm: runs on this machine end with this command")
    if options.dry_run:
        sweeps.dry_run(runs, options.out, tflops=options.tflops, price=options.price, **common)
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        done = sweeps.sweep(runs, options.out, slurm=jobs, wait=not options.no_wait, **common)
    except KeyboardInterrupt:
        still_there = "" if jobs is None else "; jobs on Slurm go on, until scancel ends them"
        print(f"stopped; the same command goes on from the last epochs{still_there}")
        return 130
    failed = [run for run in done if run["status"] == "failed"]
    return 1 if failed else 0


def grid_runs(options: argparse.Namespace) -> list:
    """The recipes of a sweep: of each seed all data sets, of each data set the whole grid."""
    from contrastlib.reproduction import grids

    if options.dataset is not None and any(text.startswith("dataset=") for text in options.set):
        raise ValueError("--dataset and --set dataset=NAME are both given: give one of them")
    seeds = grids.SEEDS if options.seeds is None else options.seeds
    settings_of_datasets = [options.set]  # the recipe's own data set
    if options.dataset is not None:
        settings_of_datasets = [[f"dataset={name}", *options.set] for name in options.dataset]
    runs = []
    for seed in seeds:
        for settings in settings_of_datasets:
            runs += grids.grid(options.grid, options.recipe, settings, [seed])
    return runs


def figures(options: argparse.Namespace) -> int:
    """Write the figures, the tables and the verdicts."""
    from contrastlib.reproduction import write_figures

    scales = None if options.recipe is None else [options.recipe]
    write_figures.write(options.out, options.runs, scales, options.dataset)
    return 0


def bench(options: argparse.Namespace) -> int:
    """Measure and print the table of speeds."""
    from contrastlib.bench.speed_table import run

    run(
        options.device,
        options.threads,
        options.rounds,
        options.only,
        options.small,
        options.json,
    )
    return 0


def info(options: argparse.Namespace) -> int:
    """Print versions, device and processor."""
    from contrastlib.bench.speed_table import hardware
    from contrastlib.training.devices import pick_device

    print(f"contrastlib {__version__}")
    for name, value in hardware(pick_device(None)).items():
        print(f"{name} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
