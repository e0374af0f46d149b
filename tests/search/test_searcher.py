"""On the smallest built-in world: real videos, real encoders, a trained head."""

import json

import pytest

from matchcut.cli import main
from matchcut.collection import Collection
from matchcut.datasets.world import fill
from matchcut.datasets.world_plan import World
from matchcut.encoders.embed import embed
from matchcut.errors import MatchcutError
from matchcut.search import Searcher
from matchcut.training import Recipe, train


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    collection = Collection.create(tmp_path_factory.mktemp("search") / "films")
    fill(collection, World(train=6, val=2, test=2, captions=2, size=64), processes=1)
    for spec in ("efficientnet-lite0", "minilm"):
        embed(collection, spec)
    table = {
        "name": "m",
        "model": {"dim": 32, "hidden_layers": 0},
        "training": {"epochs": 30, "batch_size": 6, "lr": 0.01},
    }
    train(Recipe.of(table), collection)
    return collection


def test_a_training_caption_finds_its_video(films):
    searcher = Searcher(films, "m")
    assert len(searcher) == 10
    caption = films.captions(split="train")[0]
    found = searcher.search(caption.text, k=3)
    assert caption.item in [moment.item for moment in found]
    assert [m.score for m in found] == sorted((m.score for m in found), reverse=True)
    assert (found[0].start, found[0].end) == (0.0, 2.0)
    assert found[0].source.endswith(f"{found[0].item}.mp4")


def test_grouped_by_item_no_item_comes_twice(films):
    found = Searcher(films, "m").search("a red circle", k=20, group="item")
    assert len({m.item for m in found}) == len(found) == 10


def test_the_index_is_reused_and_made_again_when_stale(films):
    first = Searcher(films, "m").search("a blue square", k=10)
    index = films.root / "index" / "m-best" / "index.json"
    made = index.stat().st_mtime_ns
    assert Searcher(films, "m").search("a blue square", k=10) == first
    assert index.stat().st_mtime_ns == made
    facts = json.loads(index.read_text())
    index.write_text(json.dumps({**facts, "made_from": "something else"}))
    assert Searcher(films, "m").search("a blue square", k=10) == first
    assert json.loads(index.read_text()) == facts


def test_a_model_of_another_collection_searches_videos_without_captions(films, tmp_path):
    bare = Collection.create(tmp_path / "bare")
    with bare.writing() as writer:
        for item, shot in zip(films.items(), films.shots(), strict=True):
            writer.put_item(item, [shot])
    embed(bare, "efficientnet-lite0")
    model = str(films.root / "models" / "m")
    found, expected = Searcher(bare, model).search("a red circle"), Searcher(films, "m").search("a red circle")
    assert [m.item for m in found] == [m.item for m in expected]


def test_bad_queries(films):
    searcher = Searcher(films, "m")
    with pytest.raises(MatchcutError, match="query is empty"):
        searcher.search("  ")
    with pytest.raises(MatchcutError, match="no model 'n'; there is m"):
        Searcher(films, "n")


def test_the_command_prints_json_and_a_table(films, capsys):
    assert main(["search", str(films.root), "a red circle", "--model", "m", "--top", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [set(moment) for moment in found] == [{"item", "source", "start", "end", "score", "shot", "thumb"}] * 2
    assert main(["search", str(films.root), "a red circle", "--model", "m", "--top", "2"]) == 0
    out = capsys.readouterr().out
    assert found[0]["item"] in out
    assert "10 shots searched" in out
    assert main(["evaluate", str(films.root), "--model", "m"]) == 0
    assert "exact relevance" in capsys.readouterr().out
