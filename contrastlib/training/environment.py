"""What a record says of where a run was made: the processor, the versions of packages, the commit."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import contrastlib


def processor() -> str:
    """The processor's model and how many cores it offers."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as lines:
            model = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{model}, {os.cpu_count()} cores"


def installed(package: str) -> str:
    """A package's version."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def git_commit() -> str | None:
    """The commit of the checkout this package lies in, "+" added where it was changed since; None outside one."""
    package = Path(contrastlib.__file__).parent

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "--no-optional-locks", "-C", package, *words],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        ).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")) != package.parent:  # installed inside another project
            return None
        changed = "+" if git("status", "--porcelain", "--", "*.py") else ""
        return git("rev-parse", "HEAD") + changed
    except (OSError, subprocess.SubprocessError):
        return None
