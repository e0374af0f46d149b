"""A sweep against one `matchcut train` after another: the same models, the same weights, how much less time.

    matchcut import msrvtt ../shared/data/msrvtt --collection msrvtt
    matchcut embed msrvtt --encoder efficientnet-lite0   # and minilm, minilm-tokens
    python benchmarks/sweep.py msrvtt
    python benchmarks/sweep.py msrvtt --models 4

Halves are interleaved: sweep of the first half, single runs of the first half, single runs of the second, sweep of the
second, so that a machine whose other load changes slows both. Single runs may use all cores, as `matchcut train` does
by itself; `--threads 1` gives them one, and then the weights of both ways are compared bit by bit.
"""

import os
import resource
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from ctypes import CDLL
from pathlib import Path

import tyro

ROOT = Path(__file__).parent.parent
GRID = ROOT / "recipes" / "exclusion_2021_grid_small.toml"
ADOPT = 36  # PR_SET_CHILD_SUBREAPER: processes whose parent has ended become children of this one
SWEEP, SINGLE = "bench-sweep", "bench-single"


def main(
    collection: Path,
    /,
    *,
    models: int = 24,
    epochs: int | None = None,
    samples: int | None = None,
    jobs: int = 2,
    threads: int | None = None,
) -> None:
    """Time both ways.

    Args:
        collection: folder with MSR-VTT and its packaged features.
        models: how many of the 24 models at x = 1 %, evenly spread.
        epochs: in place of the grid's.
        samples: captions an epoch, in place of the grid's.
        jobs: models at a time in the sweep.
        threads: of a single run; by default PyTorch's choice, all cores.
    """
    from matchcut.sweep import Grid

    given = [("training.epochs", epochs), ("training.samples", samples)]
    overrides = [f"{key}={value}" for key, value in given if value is not None]
    grid = Grid.read(GRID, overrides=[f"name={SWEEP}", *overrides])
    cells = [cell for cell in grid.cells if cell.choices["exclusion"] == "x1"]
    cells = [cells[i * len(cells) // models] for i in range(models)]
    clear(collection)
    CDLL(None).prctl(ADOPT, 1, 0, 0, 0)
    work = collection / "sweeps" / SINGLE
    work.mkdir(parents=True)

    def sweep(some: list) -> tuple[float, float]:
        command = ["sweep", str(GRID), str(collection), "--jobs", str(jobs), "--device", "cpu"]
        command += ["--set", f"name={SWEEP}", *overrides, "--only", *(cell.name for cell in some)]
        return timed([command])

    def single(some: list) -> tuple[float, float]:
        commands = []
        for cell in some:
            recipe = work / f"{cell.name}.toml"
            recipe.write_text(cell.recipe.to_toml())
            name = cell.recipe.name.replace(SWEEP, SINGLE)
            command = ["train", str(recipe), str(collection), "--name", name, "--device", "cpu"]
            commands.append([*command, "--set", f"training.threads={threads or 0}"])
        return timed(commands)

    first, second = cells[: (models + 1) // 2], cells[(models + 1) // 2 :]
    parts = [sweep(first), single(first)]
    if second:
        later = [single(second), sweep(second)]
        parts = [
            tuple(map(sum, zip(parts[0], later[1], strict=True))),
            tuple(map(sum, zip(parts[1], later[0], strict=True))),
        ]
    (swept, swept_cpu), (alone, alone_cpu) = parts
    print(f"{models} models, load of the machine at the end {os.getloadavg()[0]:.1f}")
    print("| way | wall clock, s | CPU, s |\n|---|---|---|")
    print(f"| matchcut sweep, {jobs} at a time | {swept:.0f} | {swept_cpu:.0f} |")
    print(f"| {models} x matchcut train, {threads or os.cpu_count()} threads | {alone:.0f} | {alone_cpu:.0f} |")
    print(f"| ratio | {swept / alone:.2f} | {swept_cpu / alone_cpu:.2f} |")
    print("weights:", compare(collection, [cell.recipe.name for cell in cells]))
    clear(collection)


def timed(commands: list[list[str]]) -> tuple[float, float]:
    """Seconds of wall clock and of CPU, all processes together, for commands one after the other."""
    before, start = cpu(), time.perf_counter()
    for command in commands:
        done = subprocess.run([sys.executable, "-m", "matchcut", *command], stdout=subprocess.DEVNULL)
        if done.returncode:
            sys.exit(f"matchcut {' '.join(command)}: exit code {done.returncode}")
    seconds = time.perf_counter() - start
    with suppress(ChildProcessError):
        while True:  # the server that forks a sweep's workers ends after it, and holds their CPU time
            os.wait()
    print(f"{commands[0][0]} x {len(commands)}: {seconds:.0f} s", flush=True)
    return seconds, cpu() - before


def cpu() -> float:
    """CPU seconds of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def compare(collection: Path, names: list[str]) -> str:
    """How far the weights of both ways are apart."""
    from matchcut.training import checkpoint

    furthest, equal = 0.0, 0
    for name in names:
        a, b = (
            checkpoint.read(collection / "models" / folder / checkpoint.LAST)[0]
            for folder in (name, name.replace(SWEEP, SINGLE))
        )
        apart = max(float((a[key].double() - b[key].double()).abs().max()) for key in a if key.startswith("model."))
        furthest, equal = max(furthest, apart), equal + (apart == 0.0)
    return f"{equal} of {len(names)} models the same to the last bit, largest difference {furthest:.2g}"


def clear(collection: Path) -> None:
    """Remove the models of this benchmark."""
    for pattern in (f"models/{SWEEP}-*", f"models/{SINGLE}-*", f"sweeps/{SWEEP}", f"sweeps/{SINGLE}"):
        for folder in collection.glob(pattern):
            shutil.rmtree(folder)


if __name__ == "__main__":
    tyro.cli(main)
