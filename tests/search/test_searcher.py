"""On the smallest built-in world: real videos, real encoders, a trained head."""

import json
import shutil

import numpy as np
import pytest

from matchcut.cli import main
from matchcut.collection import Collection
from matchcut.datasets.world import fill
from matchcut.datasets.world_plan import World
from matchcut.encoders.embed import embed
from matchcut.errors import MatchcutError
from matchcut.features import FeatureSet, FeatureWriter
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


def test_features_written_anew_under_the_same_ids_make_the_index_stale(films, tmp_path):
    copy = Collection.open(shutil.copytree(films.root, tmp_path / "copy"))
    before = Searcher(copy, "m").search("a blue square", k=10)
    path = copy.root / "features" / "efficientnet-lite0"
    old = FeatureSet.open(path)
    rows = [np.array(old.rows(key)) for key in old.ids]
    with FeatureWriter(path, old.manifest, force=True) as writer:
        for key, row in zip(old.ids, reversed(rows), strict=True):
            writer.add(key, row)
    after = Searcher(copy, "m").search("a blue square", k=10)
    assert [moment.score for moment in after] == [moment.score for moment in before]
    assert [moment.item for moment in after] != [moment.item for moment in before]


def test_a_collection_whose_index_cannot_be_written_is_searched(films, tmp_path):
    copy = Collection.open(shutil.copytree(films.root, tmp_path / "copy", ignore=shutil.ignore_patterns("index")))
    (copy.root / "index").write_text("no folder")
    assert Searcher(copy, "m").search("a blue square") == Searcher(films, "m").search("a blue square")


def test_a_run_without_weights_is_not_offered_as_a_model(films, tmp_path):
    copy = Collection.open(shutil.copytree(films.root, tmp_path / "copy"))
    (copy.root / "models" / "broken").mkdir()
    with pytest.raises(MatchcutError, match="no model 'broken'; there is m; a model"):
        Searcher(copy, "broken")


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
    with pytest.raises(MatchcutError, match="query is not text"):
        searcher.search("a \udcff square")
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


@pytest.fixture(scope="module")
def films_with_two_models(films):
    """A network without an index beside the one with an index."""
    table = {
        "name": "tokens",
        "model": {"name": "clip_video", "interaction": "ti", "words": "minilm", "dim": 16},
        "training": {"epochs": 1, "batch_size": 6},
    }
    train(Recipe.of(table), films)
    return films


def test_the_best_shots_of_a_first_model_are_ranked_anew(films_with_two_models):
    films, query = films_with_two_models, "a red circle"
    whole = Searcher(films, "tokens").search(query, k=10)
    first = [moment.shot for moment in Searcher(films, "m").search(query, k=4)]
    found = Searcher(films, "tokens", first="m", candidates=4).search(query, k=3)
    assert [m.shot for m in found] == [m.shot for m in whole if m.shot in first][:3]
    assert [m.score for m in found] == pytest.approx([m.score for m in whole if m.shot in first][:3], abs=1e-5)
    everything = Searcher(films, "tokens", first="m", candidates=10).search(query, k=10, group="item")
    assert [m.shot for m in everything] == [m.shot for m in whole]


def test_a_first_model_must_have_an_index_and_the_second_none(films_with_two_models):
    films = films_with_two_models
    with pytest.raises(MatchcutError, match="--first tokens: clip_video has no index"):
        Searcher(films, "tokens", first="tokens")
    with pytest.raises(MatchcutError, match="model 'm' has an index"):
        Searcher(films, "m", first="m")
    with pytest.raises(MatchcutError, match="--candidates must be at least 1, got 0"):
        Searcher(films, "tokens", first="m", candidates=0)


def test_a_typed_query_for_networks_on_words(films):
    table = {
        "name": "words",
        "model": {"name": "dual_encoding", "word_dim": 4, "item_hidden": 4, "text_hidden": 4, "filters": 2, "dim": 8},
        "data": {"vocabulary_threshold": 1},
        "training": {"epochs": 1, "batch_size": 6},
    }
    train(Recipe.of(table), films)
    searcher = Searcher(films, "words")
    assert len(searcher.search("A RED circle, and words that no caption has", k=10)) == 10
    assert len(searcher.search("?", k=10)) == 10
