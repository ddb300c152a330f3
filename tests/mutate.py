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
from pathlib import Path

import libcst as cst
from mutmut.mutation.file_mutation import MutationVisitor, deep_replace
from mutmut.mutation.mutators import mutation_operators
from mutmut.mutation.pragma_handling import IgnoredCode

ROOT = Path(__file__).resolve().parent.parent
LOSSES, DEVICE = (
    "tests/test_losses.py tests/test_gradients.py tests/test_equations.py",
    "tests/test_device.py",
)
KEYS, PROCESSES = "tests/test_keys.py", "tests/test_keys.py::test_two_processes_hold_what_one_would"
METRICS, MEMORY = (
    "tests/test_metrics.py",
    "tests/test_metrics.py::test_memory_at_fifty_thousand_points",
)
TESTS = {  # of each module the fast tests, then, for mutants that survive those, the slow ones
    "losses": (LOSSES, DEVICE),
    "gradients": (LOSSES,),
    "streamed_losses": (LOSSES, DEVICE),
    "numerics": (LOSSES, f"{DEVICE} {METRICS} --deselect {MEMORY}"),
    "keys": (f"{KEYS} tests/test_equations.py --deselect {PROCESSES}", f"{DEVICE} {PROCESSES}"),
    "metrics": (f"{METRICS} --deselect {MEMORY}", MEMORY),
    "probe": (f"{METRICS} --deselect {MEMORY}",),
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
SPEAKING = re.compile(
    r"check_\w+|require_finite|warnings\.warn"
)  # their strings are the words of an error or a warning


class Visitor(MutationVisitor):
    """mutmut's own, but into decorated functions as well, and not into the words of errors."""

    words = frozenset()

    def on_visit(self, node):
        if isinstance(node, cst.Call) and SPEAKING.fullmatch(
            cst.Module([]).code_for_node(node.func)
        ):
            self.words |= {arg.value for arg in node.args if isinstance(arg.value, cst.BaseString)}
        return not isinstance(node, cst.Raise) and node not in self.words and super().on_visit(node)

    def _skip_node_and_children(self, node):
        return not isinstance(node, cst.FunctionDef) and super()._skip_node_and_children(node)

    def counts(self, m):
        old, new = (getattr(node, "args", ()) for node in (m.original_node, m.mutated_node))
        none_for_words = len(old) == len(new) and any(
            a not in new and a.value in self.words for a in old
        )
        return m.contained_by_top_level_function and not none_for_words


def survives(name, code):
    """Whether the tests pass in a copy of the project in which contrastlib/<name>.py holds this
    code.
    """
    with tempfile.TemporaryDirectory() as folder:
        for part in ("contrastlib", "tests", "book", "index.md", "pyproject.toml"):
            (shutil.copytree if (ROOT / part).is_dir() else shutil.copy)(
                ROOT / part, Path(folder, part)
            )
        Path(folder, "contrastlib", f"{name}.py").write_text(code)
        run = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        here = f"import contrastlib; assert contrastlib.__path__ == ['{folder}/contrastlib']"
        subprocess.run([sys.executable, "-c", here], check=True, **run)
        try:
            return not any(
                subprocess.run([*PYTEST, *t.split()], timeout=300, **run).returncode
                for t in TESTS[name]
            )
        except subprocess.TimeoutExpired:
            return False


os.environ.update(OMP_NUM_THREADS="1", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--number", type=int, default=300)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument(
    "--killed", type=Path, default="killed.json", help="where the killed are kept, to go on from"
)
options = parser.parse_args()
sources, found, mutants = {}, {name: {} for name in TESTS}, {}
for name, every in found.items():
    source = sources[name] = (ROOT / f"contrastlib/{name}.py").read_text()
    visitor = Visitor(mutation_operators, IgnoredCode(set(), set(), set()))
    tree = cst.MetadataWrapper(cst.parse_module(source)).visit(visitor)
    for m in filter(visitor.counts, visitor.mutations):
        code = deep_replace(tree, m.original_node, m.mutated_node).code
        diff = "\n".join(
            list(difflib.unified_diff(source.split("\n"), code.split("\n"), lineterm=""))[3:]
        )
        every[hashlib.sha256(f"{options.seed} {name} {diff}".encode()).hexdigest()[:12]] = (
            name,
            code,
            diff,
        )
share = options.number / sum(map(len, found.values()))
for every in found.values():
    mutants |= dict(sorted(every.items())[: round(share * len(every))])
killed = set(json.loads(options.killed.read_text()) if options.killed.exists() else ())
with ThreadPoolExecutor(2) as pool:
    assert all(pool.map(survives, sources, sources.values())), "the tests fail without a mutant"
    verdicts = pool.map(lambda key: key not in killed and survives(*mutants[key][:2]), mutants)
    for (key, (name, _, diff)), survived in zip(mutants.items(), verdicts, strict=True):
        if survived:
            print(f"\n{name} {key}\n{diff}")
        else:
            killed.add(key)
            options.killed.write_text(json.dumps(sorted(killed), indent=0))
print(
    f"\n{len(mutants)} mutants, {len(killed & {*mutants})} killed; drawn from",
    {k: len(m) for k, m in found.items()},
)
