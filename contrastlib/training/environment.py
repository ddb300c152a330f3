"""Where a run was made: the processor, the versions of packages, the commit."""

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
            model = next(
                line.split(":")[1].strip() for line in lines if line.startswith("model name")
            )
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
    """The commit of the checkout that this package lies in; None outside one.

    "+" is added where a Python file was changed since.
    """
    package = Path(contrastlib.__file__).parent
    try:
        top_level = git(package, "rev-parse", "--show-toplevel")
        if Path(top_level) != package.parent:  # installed inside another project
            return None
        changes = git(package, "status", "--porcelain", "--", "*.py")
        commit = git(package, "rev-parse", "HEAD")
    except (OSError, subprocess.SubprocessError):
        return None
    if changes:
        return commit + "+"
    return commit


def git(folder: Path, *words: str) -> str:
    """What a git command prints, run in a folder. Errors: OSError, SubprocessError."""
    command = ["git", "--no-optional-locks", "-C", str(folder), *words]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    return answer.stdout.strip()
