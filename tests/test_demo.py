"""The demo on the smallest built-in world."""

from matchcut.datasets.world_plan import World
from matchcut.demo import OBJECTIVES, QUERIES, run


def quiet(what):
    return lambda done, total: None


def test_another_seed_in_the_same_folder_trains_its_own_models(tmp_path):
    world = World(train=6, val=2, test=2, captions=2, size=64)
    first = run(tmp_path / "demo", step=quiet, settings=world, epochs=1)
    assert list(first.evaluations) == list(OBJECTIVES)
    assert list(first.searches) == list(QUERIES)
    assert all(evaluation.metrics.keys() == {"paired", "exact"} for evaluation in first.evaluations.values())
    second = run(tmp_path / "demo", step=quiet, settings=world, epochs=1, seed=1)
    models = {path.name for path in (tmp_path / "demo" / "models").iterdir()}
    assert models == {"hardest", "hardest-dropsimilar-2", "infonce"} | {
        "hardest-seed1", "hardest-dropsimilar-2-seed1", "infonce-seed1"
    }  # fmt: skip
    assert second.searched_with.endswith("-seed1")
