"""Do the tests of reliability notice it if what they guard is taken away?

    .venv/bin/python scripts/mutation_check.py

Takes one guard at a time out of a copy of the source and runs the tests that must fail then; first, that they pass
without a change. Ends with status 1 if a change goes unnoticed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]


class Mutation(NamedTuple):
    """A guard: where it stands, what takes its place, and the tests that notice."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


MUTATIONS = (
    Mutation(
        "no fsync of a new file",
        "atomic.py",
        "            os.fsync(file.fileno())\n",
        "",
        ("tests/test_atomic.py", "tests/reliability/test_checkpoint_save.py"),
    ),
    Mutation(
        "no fsync of its folder",
        "atomic.py",
        "        os.fsync(descriptor)\n",
        "        pass\n",
        ("tests/test_atomic.py",),
    ),
    Mutation(
        "noise generators not restored",
        "training/state.py",
        '        generator.set_state(state["generators"][purpose])\n',
        "        pass\n",
        ("tests/training/test_resume.py", "tests/reliability/test_kills.py"),
    ),
    Mutation(
        "the process's generators not restored",
        "training/state.py",
        '    set_global_state(state["global"])\n',
        "",
        ("tests/training/test_resume.py",),
    ),
    Mutation(
        "checksum of a checkpoint not compared",
        "training/checkpoint.py",
        "if content[-DIGEST_LENGTH:] != _digest(content[:-DIGEST_LENGTH]):",
        "if False:",
        ("tests/training/test_checkpoint.py", "tests/reliability/test_damage.py"),
    ),
    Mutation(
        "checksum of the rows not compared",
        "training/resume.py",
        'if reduce(chained, folder.rows_until(progress["step"]), "") != progress["rows"]:',
        "if False:",
        ("tests/reliability/test_damage.py",),
    ),
    Mutation(
        "the checkpoint before not kept",
        "atomic.py",
        "            path.replace(previous)\n",
        "            pass\n",
        ("tests/reliability/test_damage.py",),
    ),
    Mutation(
        "no lock on a run",
        "run.py",
        "lock = FileLock(folder.lock).acquire(timeout=0)",
        "lock = FileLock(folder.path / f'.lock-{os.getpid()}').acquire(timeout=0)",
        ("tests/reliability/test_two_sweeps.py",),
    ),
)


def passes(tests: tuple[str, ...], place: Path | None = None) -> bool:
    """Run tests, on the source below ``place`` where that is given; return whether they pass."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if place is not None:
        environment["PYTHONPATH"] = str(place / "src")
    words = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    return subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, check=False).returncode == 0


def mutated(mutation: Mutation, place: Path) -> None:
    """Copy the source to ``place`` with the mutation in it."""
    for folder in ("src", "configs"):
        shutil.copytree(ROOT / folder, place / folder)
    file = place / "src" / "bnexp" / mutation.file
    text = file.read_text(encoding="utf-8")
    if text.count(mutation.old) != 1:
        raise SystemExit(f"{mutation.file}: {mutation.old.strip()!r} must stand there once; mend this script")
    file.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")


def main() -> int:
    every = tuple(sorted({test for mutation in MUTATIONS for test in mutation.tests}))
    print(f"{'passes' if (sound := passes(every)) else 'FAILS':<10}  nothing taken away", flush=True)
    unnoticed = 0
    for mutation in MUTATIONS:
        for test in mutation.tests:
            with tempfile.TemporaryDirectory() as folder:
                mutated(mutation, Path(folder))
                went_unnoticed = passes((test,), Path(folder))
            unnoticed += went_unnoticed
            print(f"{'UNNOTICED' if went_unnoticed else 'noticed':<10}  {mutation.name}: {test}", flush=True)
    return 0 if sound and not unnoticed else 1


if __name__ == "__main__":
    sys.exit(main())
