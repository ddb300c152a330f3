"""Mutation testing: break the library, a small change at a time, and see whether a test notices
(see mutation.md).
"""

import argparse
import difflib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import libcst as cst
from mutmut.mutation.file_mutation import MutationVisitor, deep_replace
from mutmut.mutation.mutators import mutation_operators
from mutmut.mutation.pragma_handling import IgnoredCode

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("contrastlib", "tests", "book", "index.md", "pyproject.toml")
SECONDS = 300  # until a mutant counts as killed, since it hangs

LOSSES = (
    "tests/test_losses.py tests/test_tau_and_ignore.py tests/test_gradients.py "
    "tests/test_equations.py"
)
DEVICE = "tests/test_device.py"
PROCESSES = "tests/test_keys.py::test_two_processes_hold_what_one_would"
KEYS = f"tests/test_keys.py tests/test_equations.py --deselect {PROCESSES}"
MEMORY = "tests/test_metrics.py::test_memory_at_fifty_thousand_points"
METRICS = f"tests/test_metrics.py --deselect {MEMORY}"
# Of each module the fast tests, then, for mutants that survive those, the slow ones.
TESTS = {
    "losses": (LOSSES, DEVICE),
    "gradients": (LOSSES,),
    "pairs": (LOSSES, DEVICE),
    "streamed_losses": (LOSSES, DEVICE),
    "hardest": (LOSSES, DEVICE),
    "numerics": (LOSSES, f"{DEVICE} {METRICS}"),
    "keys": (KEYS, f"{DEVICE} {PROCESSES}"),
    "metrics": (METRICS, MEMORY),
    "probe": (METRICS,),
}
PYTEST = [
    sys.executable,
    "-m",
    "pytest",
    "-xq",
    "--tb=no",
    "-p",
    "_hypothesis_pytestplugin",
    "--hypothesis-seed=0",
]
# Strings that are given to these are the words of an error or a warning.
SPEAKING = re.compile(r"check_\w+|require_finite|warnings\.warn")


class Visitor(MutationVisitor):
    """mutmut's own, but into decorated functions as well, and not into the words of errors."""

    words = frozenset()

    def on_visit(self, node):
        if isinstance(node, cst.Call) and SPEAKING.fullmatch(code_of(node.func)):
            values = [argument.value for argument in node.args]
            self.words |= {value for value in values if isinstance(value, cst.BaseString)}
        if isinstance(node, cst.Raise) or node in self.words:
            return False
        return super().on_visit(node)

    def _skip_node_and_children(self, node):
        if isinstance(node, cst.FunctionDef):
            return False
        return super()._skip_node_and_children(node)

    def counts(self, mutation):
        """Whether a mutation is in a function and changes more than the words of a message."""
        if not mutation.contained_by_top_level_function:
            return False
        before = getattr(mutation.original_node, "args", ())
        after = getattr(mutation.mutated_node, "args", ())
        if len(before) != len(after):
            return True
        changed = [argument for argument in before if argument not in after]
        return not any(argument.value in self.words for argument in changed)


def code_of(node):
    return cst.Module([]).code_for_node(node)


@dataclass(frozen=True)
class Mutant:
    """A module's whole text with one change in it."""

    module: str
    code: str
    diff: str
    seed: int

    @cached_property
    def key(self):
        """A hash of the change and the three lines on either side, which decides what is drawn."""
        text = f"{self.seed} {self.module} {self.diff}"
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def source_of(module):
    return (ROOT / "contrastlib" / f"{module}.py").read_text()


def mutants_of(module, seed):
    """All mutants of a module, by key, in the order of their keys."""
    source = source_of(module)
    visitor = Visitor(mutation_operators, IgnoredCode(set(), set(), set()))
    tree = cst.MetadataWrapper(cst.parse_module(source)).visit(visitor)
    found = {}
    for mutation in visitor.mutations:
        if not visitor.counts(mutation):
            continue
        code = deep_replace(tree, mutation.original_node, mutation.mutated_node).code
        lines = difflib.unified_diff(source.split("\n"), code.split("\n"), lineterm="")
        diff = "\n".join(list(lines)[3:])  # without its head
        mutant = Mutant(module, code, diff, seed)
        found[mutant.key] = mutant
    return dict(sorted(found.items()))


def draw(found, number):
    """Of each module its share of so many mutants."""
    share = number / sum(len(mutants) for mutants in found.values())
    drawn = []
    for mutants in found.values():
        drawn += list(mutants.values())[: round(share * len(mutants))]
    return drawn


def survives(module, code):
    """Whether the tests pass in a copy of the project in which the module has this code."""
    with tempfile.TemporaryDirectory() as folder:
        for part in COPIED:
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            copy(ROOT / part, Path(folder, part))
        Path(folder, "contrastlib", f"{module}.py").write_text(code)
        quietly = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        here = f"import contrastlib; assert contrastlib.__path__ == ['{folder}/contrastlib']"
        subprocess.run([sys.executable, "-c", here], check=True, **quietly)
        for tests in TESTS[module]:
            command = [*PYTEST, *tests.split()]
            try:
                ended = subprocess.run(command, timeout=SECONDS, **quietly)
            except subprocess.TimeoutExpired:
                print(f"{module}: the tests took more than {SECONDS} s", flush=True)
                return False
            if ended.returncode != 0:
                return False
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--killed", type=Path, default="killed.json", help="where the killed are kept, to go on"
    )
    options = parser.parse_args()
    # Read by each test's process.
    os.environ.update(OMP_NUM_THREADS="1", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    found = {module: mutants_of(module, options.seed) for module in TESTS}
    drawn = draw(found, options.number)
    killed = set()
    if options.killed.exists():
        killed = set(json.loads(options.killed.read_text()))
    waiting = [mutant for mutant in drawn if mutant.key not in killed]
    with ThreadPoolExecutor(2) as pool:
        if not all(pool.map(survives, TESTS, map(source_of, TESTS))):
            sys.exit("the tests fail without a mutant")
        modules = [mutant.module for mutant in waiting]
        codes = [mutant.code for mutant in waiting]
        survived = pool.map(survives, modules, codes)
        for mutant, lives in zip(waiting, survived, strict=True):
            if lives:
                print(f"\n{mutant.module} {mutant.key}\n{mutant.diff}", flush=True)
            else:
                killed.add(mutant.key)
                options.killed.write_text(json.dumps(sorted(killed), indent=0))
    print("\n| module | mutants | drawn | killed |\n|---|---|---|---|")
    for module, mutants in found.items():
        of_module = [mutant for mutant in drawn if mutant.module == module]
        dead = [mutant for mutant in of_module if mutant.key in killed]
        print(f"| {module} | {len(mutants)} | {len(of_module)} | {len(dead)} |")
    dead = [mutant for mutant in drawn if mutant.key in killed]
    print(f"\n{len(drawn)} mutants, {len(dead)} killed ({len(dead) / len(drawn):.1%})")


if __name__ == "__main__":
    main()
