"""The command line: `python -m contrastlib`, installed as `contrastlib`."""

import argparse
import sys

from . import __version__


def main(arguments: list[str] | None = None) -> int:
    """Run one command; bad input is one line on stderr and exit code 2."""
    parser = argparse.ArgumentParser(prog="contrastlib", description=__doc__.splitlines()[0])
    parser.add_argument("--version", action="version", version=f"contrastlib {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    bench = commands.add_parser(
        "bench",
        help="time the losses, metrics, augmentation and a training step against the floor and other libraries",
        description="Time each row of the speed table interleaved with its baselines, as ratios to the bare matrix "
        "products. Baselines come with: pip install 'contrastlib[bench]'. Without them their lines are left out.",
    )
    bench.add_argument("--device", default=None, help="cpu, cuda or cuda:N (default: cuda where there is one)")
    bench.add_argument("--threads", type=int, default=1, help="processor threads (default: 1)")
    bench.add_argument(
        "--rounds",
        type=int,
        default=7,
        help="interleaved rounds, fewer in rows that take over a minute; medians are reported (default: 7)",
    )
    bench.add_argument("--only", default="", metavar="TEXT", help="only the rows whose name contains TEXT")
    bench.add_argument("--small", action="store_true", help="tiny sizes: a check that all runs, not a measurement")
    bench.add_argument("--json", metavar="FILE", help="also write the table, the hardware and the versions to FILE")

    commands.add_parser("info", help="say which versions, device and processor are in use")

    options = parser.parse_args(arguments)
    from . import bench as speed  # torch takes seconds to import: not before the arguments are known to be good

    try:
        if options.command == "bench":
            speed.run(options.device, options.threads, options.rounds, options.only, options.small, options.json)
        else:
            print(f"contrastlib {__version__}")
            for name, value in speed.hardware(speed.pick_device(None)).items():
                print(f"{name} {value}")
    except (ValueError, OSError) as error:
        print(f"contrastlib {options.command}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
