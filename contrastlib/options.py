"""The commands of `contrastlib` and their options. Nothing that takes time is imported here."""

import argparse

from contrastlib import __version__

DESCRIPTION = "The command line: `python -m contrastlib`, installed as `contrastlib`."
RECIPES = ("live", "small", "desk", "paper")
DEVICE_HELP = "cpu, cuda, cuda:N or mps (default: the best there is)"


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(prog="contrastlib", description=DESCRIPTION)
    top.add_argument("--version", action="version", version=f"contrastlib {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_train(commands)
    add_sweep(commands)
    add_figures(commands)
    add_bench(commands)
    commands.add_parser("info", help="say which versions, device and processor are in use")
    return top


def add_out_and_device(command: argparse.ArgumentParser) -> None:
    """Where runs go, and what they run on."""
    command.add_argument(
        "--out",
        default="runs",
        metavar="DIR",
        help="where outcomes and checkpoints go (default: runs)",
    )
    command.add_argument("--device", default=None, help=DEVICE_HELP)


def add_train(commands) -> None:
    """The options of `contrastlib train`."""
    command = commands.add_parser(
        "train",
        help="train one recipe, measure the encoder, write the outcome",
        description=(
            "Train a recipe and write DIR/ID.json, ID being the hash of the recipe. A run "
            "that was interrupted goes on from its last epoch; one that is there is not "
            "repeated. On N GPUs: torchrun --nproc-per-node N -m contrastlib train ...; the "
            "recipe's batch is the whole batch, which they share."
        ),
    )
    command.add_argument(
        "recipe",
        choices=RECIPES,
        help="live: digits, a minute; small: minutes; desk: hours; paper: needs a GPU",
    )
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help=(
            "such as tau=0.1, or tau=learnt to learn it with the network (from tau_start=0.2); "
            "may be repeated; an unknown key lists them all, or names the nearest"
        ),
    )
    add_out_and_device(command)
    command.add_argument(
        "--compile",
        action="store_true",
        help="torch.compile the encoder: slower to start, then faster",
    )
    command.add_argument(
        "--threads",
        type=int,
        metavar="N",
        help="processor threads (default: PyTorch's; one for the small net of live)",
    )
    command.add_argument("--quiet", action="store_true", help="no progress bar")


def add_sweep(commands) -> None:
    """The options of `contrastlib sweep`."""
    command = commands.add_parser(
        "sweep",
        help="train all runs of a figure or table that have no outcome yet, here or on Slurm",
        description=(
            "Train a grid of runs, each in a process of its own, and write DIR/ID.json for "
            "each. Runs whose outcome is in DIR, or came with the library, are not repeated; "
            "runs that were broken off go on from their last epoch; a run that fails costs no"
            " other. Exit code 1 if any failed. The same command goes on after anything: "
            "Ctrl-C, a crash, a time limit."
        ),
        epilog=(
            "examples: sweep table1 --dry-run; sweep all --recipe paper --dataset cifar10 "
            "svhn --slurm gpus_per_node=1 slurm_partition=gpu slurm_array_parallelism=8"
        ),
    )
    command.add_argument(
        "grid", metavar="GRID", help="table1, curves, all ... (an unknown name lists them)"
    )
    command.add_argument("--recipe", choices=RECIPES, default="small", help="(default: small)")
    command.add_argument(
        "--dataset", nargs="+", metavar="NAME", help="one or more (default: the recipe's)"
    )
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="for every run, such as epochs=60",
    )
    command.add_argument("--seeds", nargs="+", type=int, metavar="N", help="(default: 0 1 2)")
    add_out_and_device(command)
    command.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="runs at a time (default: one for each GPU, or each core)",
    )
    command.add_argument(
        "--threads",
        type=int,
        metavar="N",
        help="processor threads of each run (default: its share of the cores; one for live)",
    )
    command.add_argument(
        "--again",
        action="store_true",
        help="train also the runs whose outcome came with the library",
    )
    command.add_argument(
        "--dry-run",
        action="store_true",
        help="only list the runs and estimate the time; needs no data",
    )
    add_estimate(command)
    add_slurm(command)


def add_estimate(command: argparse.ArgumentParser) -> None:
    """The options of a sweep's estimate."""
    command.add_argument(
        "--tflops",
        type=float,
        metavar="X",
        help=(
            "for the estimate: 10^12 operations a second where no speed was measured "
            "(default: 4, as of a T4 in float32; for the small nets 0.05, as of one core)"
        ),
    )
    command.add_argument(
        "--price", type=float, metavar="X", help="for the estimate: dollars an hour for one worker"
    )


def add_slurm(command: argparse.ArgumentParser) -> None:
    """The options of a sweep on Slurm."""
    command.add_argument(
        "--slurm",
        nargs="*",
        metavar="KEY=VALUE",
        help=(
            "submit an array of jobs to Slurm, with settings as submitit's AutoExecutor names"
            " them, such as timeout_min=600; DIR must lie where all nodes see it (needs: pip "
            "install 'contrastlib[slurm]')"
        ),
    )
    command.add_argument(
        "--no-wait",
        action="store_true",
        help="with --slurm: leave as soon as the jobs are submitted",
    )


def add_figures(commands) -> None:
    """The options of `contrastlib figures`."""
    command = commands.add_parser(
        "figures",
        help="re-make the paper's figures and table from outcomes of runs",
        description=(
            "Write Figures 1 to 9, as figN-light and figN-dark, PNG and SVG, with the "
            "numbers drawn in figN.csv; in the same forms verdicts, forest, dumbbells-"
            "DATASET, best-tau and the ablations, beyond-NAME; table1.csv, Table 1 of the "
            "paper beside our runs; claims.csv, the verdict on each claim; identities.csv "
            "and beyond.csv. No data and no network are needed. What was not run is left "
            "out, and the figure says so."
        ),
        epilog="example: sweep all --dataset cifar10; figures --runs runs",
    )
    command.add_argument(
        "--out", default="figures", metavar="DIR", help="where to write (default: figures)"
    )
    command.add_argument(
        "--runs",
        metavar="DIR",
        help="the outcomes to draw (default: those that come with the library)",
    )
    command.add_argument(
        "--recipe",
        choices=("small", "desk", "paper"),
        help="the recipe of the runs to draw (default: all that have runs)",
    )
    command.add_argument(
        "--dataset",
        nargs="+",
        metavar="NAME",
        help="one or more (default: the paper's, and others with runs)",
    )


def add_bench(commands) -> None:
    """The options of `contrastlib bench`."""
    command = commands.add_parser(
        "bench",
        help=(
            "time the losses, metrics, augmentation and a training step against the floor and"
            " other libraries"
        ),
        description=(
            "Time each row of the speed table interleaved with its baselines, as ratios to "
            "the bare matrix products. Baselines come with: pip install 'contrastlib[bench]'."
            " Without them their lines are left out."
        ),
    )
    command.add_argument("--device", default=None, help=DEVICE_HELP)
    command.add_argument("--threads", type=int, default=1, help="processor threads (default: 1)")
    command.add_argument(
        "--rounds",
        type=int,
        default=7,
        help=(
            "interleaved rounds, of which medians are reported; fewer in rows that take over "
            "a minute (default: 7)"
        ),
    )
    command.add_argument(
        "--only", default="", metavar="TEXT", help="only the rows whose name contains TEXT"
    )
    command.add_argument(
        "--small", action="store_true", help="tiny sizes: a check that all runs, not a measurement"
    )
    command.add_argument(
        "--json",
        metavar="FILE",
        help="also write the table, the hardware and the versions to FILE",
    )
