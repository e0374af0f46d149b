"""How well each objective does on real captioned data: trains over several seeds and writes docs/results.md.

    python benchmarks/quality.py --data ../shared/data --work /tmp/quality
    python benchmarks/quality.py --work /tmp/quality --datasets flickr8k --table objectives --jobs 2

Each row of a table in `benchmarks/quality.toml` is trained with the recipe of the dataset, changed by what the row
says, on the packaged features, and measured on the test part. What has been run is kept in WORK/results.jsonl, so it
goes on where it was stopped. Recipes were tuned on the validation parts; the test parts were only measured.
"""

import json
import os
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Literal

import msgspec

ROOT = Path(__file__).parent.parent
DATA = Path(os.environ.get("MATCHCUT_DATA", "../shared/data"))
GUIDE = "quality-guide"
MEASURES = ("t2v R@1", "t2v R@5", "t2v R@10", "v2t R@1", "v2t R@5", "v2t R@10", "rsum")


@dataclass(frozen=True)
class Run:
    """One training: what a row of a table says, with a seed, on a dataset."""

    dataset: str
    table: str
    row: str
    overrides: tuple[str, ...]

    @cached_property
    def recipe(self) -> Any:
        """The recipe of the dataset as the row changes it."""
        from matchcut.training import Recipe

        return Recipe.read(ROOT / "recipes" / f"{self.dataset}.toml", overrides=self.overrides)

    @cached_property
    def key(self) -> str:
        """Tells runs apart: the dataset and all that the recipe says beside defaults."""
        return key(self.dataset, self.recipe)


def key(dataset: str, recipe: Any) -> str:
    """The dataset and what a recipe says, without defaults, so that a new option leaves old results valid."""
    said = recipe.to_dict()
    for section, options in (("data", recipe.data), ("model", recipe.model), ("training", recipe.training)):
        defaults = json.loads(json.dumps(asdict(type(options)())))
        said[section] = {k: v for k, v in said[section].items() if k not in defaults or v != defaults[k]}
    return json.dumps([dataset, said], sort_keys=True)


def main(
    *,
    data: Path = DATA,
    work: Path,
    datasets: tuple[Literal["flickr8k", "msrvtt"], ...] = ("flickr8k", "msrvtt"),
    table: tuple[str, ...] = (),
    seeds: int = 3,
    jobs: int = 2,
    write: Path = ROOT / "docs" / "results.md",
) -> None:
    """Run what is missing and write the tables.

    Args:
        data: folder with the datasets as they ship, flickr8k/ and msrvtt/.
        work: folder for the collections and the results.
        datasets: which datasets.
        table: which tables of benchmarks/quality.toml, by default all.
        seeds: how many seeds a row.
        jobs: trainings at the same time, one thread each.
        write: the page whose tables are replaced.
    """
    tables = tomllib.loads((ROOT / "benchmarks" / "quality.toml").read_text())
    chosen = {name: tables[name] for name in table or tables}
    for dataset in datasets:
        further = [name for rows in chosen.values() for name in rows.get("features", {}).get(dataset, [])]
        prepare(dataset, data / dataset, work, further)
        if any(GUIDE in override for run in plan(chosen, (dataset,), 1) for override in run.overrides):
            train_guides(dataset, work)
    log = work / "results.jsonl"
    done = {record["key"]: record for record in read_log(log)}
    runs = list(plan(chosen, datasets, seeds))
    todo = list({run.key: run for run in runs if run.key not in done}.values())
    print(f"{len(runs)} runs, {len(todo)} to do", flush=True)
    failed: list[Run] = []
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool, open(log, "a") as file:
        futures = {pool.submit(measure, run, work): run for run in todo}
        for count, future in enumerate(as_completed(futures), start=1):
            run = futures[future]
            if future.exception() is not None:
                sys.stderr.write(f"{run.dataset} {run.row}: {future.exception()}\n")
                failed.append(run)
                continue
            record = future.result()
            done[run.key] = record
            file.write(json.dumps(record) + "\n")
            file.flush()
            print(f"{count}/{len(todo)} {run.dataset} {run.row}: {short(record)}", flush=True)
    if failed:
        sys.exit(f"{len(failed)} runs failed; the tables were not written")
    for name in chosen:
        for dataset in datasets:
            text = markdown([run for run in runs if (run.table, run.dataset) == (name, dataset)], done)
            replace_section(write, f"{name} {dataset}", text)


def prepare(dataset: str, source: Path, work: Path, further: Sequence[str]) -> None:
    """Import and embed, once."""
    from matchcut.collection import Collection
    from matchcut.datasets import load
    from matchcut.encoders.embed import embed
    from matchcut.training.data import load as load_part
    from matchcut.training.evidence import TrainingEvidence

    if not source.is_dir():
        sys.exit(f"{source}: no such folder; give --data, the folder that holds flickr8k/ and msrvtt/ as they ship")
    collection = Collection.create(work / dataset)
    if not collection.counts()["items"]:
        load(dataset, source, collection)
    for encoder in ("efficientnet-lite0", "minilm", *further):
        embed(collection, encoder)
    data = load_part(collection, part="train", text=["minilm"], item=["efficientnet-lite0"])
    TrainingEvidence.load(collection, data, ["svd"])
    for name in ("minilm", "svd"):
        shuffled(collection, name)


def train_guides(dataset: str, work: Path) -> None:
    """Three models of the dataset's recipe with other seeds, whose mean score guides and teaches others."""
    from matchcut.collection import Collection
    from matchcut.training import Recipe, train

    for k in range(3):
        recipe = Recipe.read(ROOT / "recipes" / f"{dataset}.toml", overrides=[f"training.seed={100 + k}"])
        train(recipe, Collection.open(work / dataset), name=f"{GUIDE}-{k}")


def shuffled(collection: Any, name: str) -> None:
    """A feature set with the vectors of captions handed to other captions: evidence that says nothing."""
    import numpy as np

    from matchcut.features import FeatureSet, FeatureWriter

    path = collection.root / "features" / f"{name}-shuffled"
    if path.is_dir():
        return
    features = FeatureSet.open(collection.root / "features" / name)
    order = np.random.default_rng(0).permutation(len(features.ids))
    manifest = msgspec.structs.replace(features.manifest, name=path.name, encoder=f"{name}, shuffled")
    with FeatureWriter(path, manifest) as writer:
        for key, other in zip(features.ids, order, strict=True):
            writer.add(key, features.rows(features.ids[other]))


def plan(tables: Mapping[str, Any], datasets: tuple[str, ...], seeds: int) -> Iterator[Run]:
    """All runs, seed by seed so that an interrupted job has complete rows of the first seeds."""
    for seed in range(seeds):
        for table, rows in tables.items():
            common = rows.get("common", {})
            for row, settings in rows.items():
                if row in ("common", "features"):
                    continue
                for dataset in datasets:
                    parts = [part.get(key, ()) for part in (common, settings) for key in ("set", dataset)]
                    overrides = tuple(override for part in parts for override in part)
                    yield Run(dataset, table, row, (*overrides, f"training.seed={seed}"))


def measure(run: Run, work: Path) -> dict[str, Any]:
    """Train and evaluate one run."""
    import torch

    torch.set_num_threads(1)
    from matchcut.collection import Collection
    from matchcut.training import evaluate, train
    from matchcut.training.trained_model import TrainedModel

    collection = Collection.open(work / run.dataset)
    name = f"quality-{os.getpid()}"
    trained = train(run.recipe, collection, name=name, again=True)
    test = evaluate(collection, name, samples=1).metrics["paired"]
    last = json.loads((trained.folder / "log.jsonl").read_text().splitlines()[-1])
    return {
        "key": run.key,
        "val": trained.best,
        "epoch": trained.best_epoch,
        "seconds": trained.seconds,
        "parameters": sum(p.numel() for p in TrainedModel.open(collection, name).network.parameters()),
        "left_out": last["objective"].get("left_out", 0.0),
        "test": test.values(),
    }


def markdown(runs: list[Run], done: Mapping[str, dict[str, Any]]) -> str:
    """A table of means and standard deviations over the seeds."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        rows.setdefault(run.row, []).append(done[run.key])
    best = {m: max(mean(r["test"][m] for r in records) for records in rows.values()) for m in MEASURES}
    sizes = {row: records[0].get("parameters", 0) for row, records in rows.items()}
    several = all(sizes.values()) and len(set(sizes.values())) > 1  # networks are compared, not objectives
    seeds = max(map(len, rows.values()))
    columns = [*MEASURES, "val rsum", "parameters" if several else "left out", "s"]
    lines = [f"| {'network' if several else 'objective'} | {' | '.join(columns)} |", "|---|" + "---:|" * len(columns)]
    for row, records in rows.items():
        cells = []
        for measure_name in MEASURES:
            values = [record["test"][measure_name] for record in records]
            text = f"{mean(values):.1f}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")
            cells.append(f"**{text}**" if mean(values) == best[measure_name] else text)
        val = mean(record["val"] for record in records)
        left_out = 100 * max(0.0, mean(record["left_out"] for record in records))  # some treatments add negatives
        about = f"{sizes[row] / 1e6:.1f} M" if several else f"{left_out:.1f}%"
        seconds = min(record["seconds"] for record in records)
        label = row if len(records) == seeds else f"{row} ({len(records)} seed{'s' * (len(records) > 1)})"
        lines.append(f"| {label} | {' | '.join(cells)} | {val:.1f} | {about} | {seconds:.0f} |")
    lines.append("")
    many = f"{seeds} seeds, mean ± standard deviation," if seeds > 1 else "1 seed,"
    lines.append(
        f"{many} on the test part; the best mean of a column in bold, whether or "
        "not it stands out of the noise. s: seconds from cached features to a trained model, one thread, the least of "
        "the seeds, on a machine that did other work too."
    )
    return "\n".join(lines)


def replace_section(path: Path, name: str, text: str) -> None:
    """Put text between the markers `<!-- NAME -->` and `<!-- end -->` of a page."""
    page = path.read_text(encoding="utf-8")
    start, end = f"<!-- {name} -->\n", "\n<!-- end -->"
    if start not in page:
        sys.exit(f"{path}: no marker <!-- {name} -->; add it where the table belongs")
    head, _, rest = page.partition(start)
    path.write_text(head + start + text + rest[rest.index(end) :], encoding="utf-8")


def read_log(path: Path) -> list[dict[str, Any]]:
    """What has been run; a last line that was cut off is dropped."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def short(record: Mapping[str, Any]) -> str:
    """A run in a few words."""
    test = record["test"]
    recalls = " / ".join(f"{test[f't2v R@{k}']:.1f}" for k in (1, 5, 10))
    return f"text to item {recalls}, rsum {test['rsum']:.1f}, val {record['val']:.1f}, {record['seconds']:.0f} s"


if __name__ == "__main__":
    import tyro

    tyro.cli(main)
