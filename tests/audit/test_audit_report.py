import json
from dataclasses import replace

import numpy as np
import pytest
from audit_content import random_content

from matchcut.audit import audit, evidence, write_report
from matchcut.audit.distribution import random_pairs
from matchcut.audit.hardest import hardest_negatives
from matchcut.audit.models import Scored, model_evidence
from matchcut.audit.plots import similarity_histogram
from matchcut.audit.report import render
from matchcut.cli import main
from matchcut.cli.audit_tables import tables
from matchcut.collection import Collection, Frame, Item, Judgment, Shot
from matchcut.errors import MatchcutError
from matchcut.training import Recipe, train


@pytest.fixture(scope="module")
def trained(judged_collection):
    table = {"name": "m", "model": {"dim": 8, "hidden_layers": 0}, "training": {"epochs": 2, "batch_size": 8}}
    train(Recipe.of(table), judged_collection)
    return judged_collection


def test_hardest_negatives_are_those_of_a_sort():
    content = random_content()
    rng = np.random.default_rng(0)
    texts, items = rng.permutation(len(content.texts))[:9], rng.permutation(12)[:7]
    scores = rng.normal(size=(9, 7)).astype(np.float32)
    found = hardest_negatives(Scored("m", "test", scores, texts, items), content, most=3)
    for row, text in enumerate(texts):
        others = [(scores[row, c], v) for c, v in enumerate(items) if v != content.owner[text]]
        assert found.items[row].tolist() == [v for _, v in sorted(others, reverse=True)[:3]]
        own = [scores[row, c] for c, v in enumerate(items) if v == content.owner[text]]
        assert found.beats[row, 0] == (bool(own) and max(others)[0] >= own[0])
    assert found.by_rank({"x": -2.0}, {"x": 0.5})[0]["x"] == 1.0
    with pytest.raises(ValueError, match="1 items are scored"):
        hardest_negatives(Scored("m", "test", scores[:, :1], texts, items[:1]), content)


def test_model_evidence_is_by_position_and_only_where_the_model_scored():
    content = random_content()
    scores = np.arange(6, dtype=np.float32).reshape(2, 3) ** 2
    scored = Scored("m", "test", scores, np.array([4, 1]), np.array([2, 0, 5]))
    found = model_evidence(scored, content, np.array([1, 4]), np.array([5, 2]))
    assert found["model"].tolist() == [25.0, 0.0]
    assert found["model_by_caption"][0] == pytest.approx((25 - scores[1].mean()) / scores[1].std())
    assert found["model_by_item"][0] == pytest.approx((25 - scores[:, 2].mean()) / scores[:, 2].std())
    assert model_evidence(scored, content, np.array([0]), np.array([5])) == {}


def test_an_audit_finds_what_was_put_in(trained, tmp_path):
    found = audit(trained, model="m", tokens=None, pairs=20_000)
    facts = found.to_json()
    assert facts["exact_duplicates"]["captions"] == 40
    assert facts["exact_duplicates"]["groups"] == 4
    assert facts["batches"] == []  # 40 items are fewer than the smallest batch
    assert facts["judgments"]["detectors"]["caption_best"]["auc"] > 0.95
    assert facts["judgments"]["detectors"]["all"]["auc"] > 0.95
    assert [row["rank"] for row in facts["model"]["by_rank"]] == ["1", "2", "3", "5", "random"]
    assert any("too few to learn from" in note for note in facts["judgments"]["notes"])
    assert any("does not hold all judged pairs" in note for note in facts["judgments"]["notes"])
    page, numbers = write_report(found, tmp_path / "report.html")
    assert json.loads(numbers.read_text()) == json.loads(json.dumps(facts))
    html = page.read_text()
    assert "data:image/jpeg;base64," in html
    assert html.count("<svg") == 2
    assert "The hardest negatives of m" in html
    assert "a thing of kind 0." in html
    assert "smaller than the smallest batch looked at, 128 items" in html
    assert "<table><tr><th>" not in html  # heads stand in a thead, or they do not wrap and the tables overlap
    assert html.count("<table><thead>") == 3


def test_pictures_that_cannot_be_read_are_named(judged_collection, tmp_path):
    broken = judged_collection.root.parent / "0.png"
    kept = broken.read_bytes()
    broken.write_bytes(b"no image")
    try:
        page, _ = write_report(audit(judged_collection, pairs=2000, tokens=None), tmp_path / "r.html")
    finally:
        broken.write_bytes(kept)
    assert "Without a picture" in page.read_text()


def test_captions_that_are_all_the_same_make_a_histogram():
    content = random_content(3)
    alike = np.full_like(content.vectors, 1 / np.sqrt(content.vectors.shape[1]) + 1e-6)
    pairs = random_pairs(replace(content, vectors=alike), count=100)
    assert pairs.similarity.min() > 1
    assert "<svg" in similarity_histogram(pairs, {"1 %": pairs.threshold(1)})


def test_a_collection_without_captions_is_one_line(tmp_path, capsys):
    made = Collection.create(tmp_path / "bare")
    with made.writing() as writer:
        writer.put_item(Item("a.png", "image", "a.png"), [Shot(0, 0, (Frame(0.0),))])
    assert main(["audit", str(made.root)]) == 2
    assert "bare: it has no captions to compare" in capsys.readouterr().err


def test_judgments_that_do_not_suffice_are_left_aside_unless_they_are_asked_for(judged_collection, tmp_path):
    with judged_collection.writing() as writer:
        writer.put_judgments("a few", [Judgment("0.png#0", "1.png", 1.0)], complete=False)
    try:
        found = audit(judged_collection, pairs=2000, tokens=None, item=None)
        assert found.judged.judged.source == "people"
        assert "'a few': 1 relevant of 1 pairs" in found.to_json()["notes"][0]
        assert "Not used: " in render(found)
        assert any("not used" in str(part) for part in tables(found))
        with pytest.raises(MatchcutError, match="too few to choose on one half"):
            audit(judged_collection, judgments="a few", pairs=2000, tokens=None, item=None)
    finally:
        with judged_collection.writing() as writer:
            writer.put_judgments("a few", [], complete=False)


def test_one_part_and_its_judgments(judged_collection):
    found = audit(judged_collection, split="train", pairs=2000, tokens=None, item=None)
    assert len(found.content.items) == 20
    assert len(found.whole.items) == 40
    assert "picture" not in found.judged.detections


def test_the_command(trained, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(evidence, "LEAST_BACKGROUND", 10)
    out = tmp_path / "page.html"
    assert main(["audit", str(trained.root), "--model", "m", "--split", "test", "--out", str(out)]) == 0
    assert out.exists()
    assert out.with_suffix(".json").exists()
    text = capsys.readouterr().out
    assert "stand word for word" in " ".join(text.split())
    assert "hardest negatives of m on test" in text
    assert main(["audit", str(trained.root), "--json", "--split", "val"]) == 0
    assert json.loads(capsys.readouterr().out)["items"] == 10
    assert main(["audit", str(trained.root), "--json", "--batch", "4", "8"]) == 0
    assert [row["size"] for row in json.loads(capsys.readouterr().out)["batches"]] == [4, 8]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--model", "n"], "no model 'n'"),
        (["--text", "bert"], "no feature set 'bert'"),
        (["--split", "dev"], "no part 'dev'; there is test, train, val"),
        (["--judgments", "experts"], "no judgments 'experts'"),
        (["--similar", "2"], "--similar 2.0: must be a cosine"),
        (["--queries", "0"], "--queries 0: must be at least 1"),
        (["--batch", "8", "4096"], "a batch of 4,096 cannot be drawn: from 2 to 40 items can"),
        (["--out", "page.pdf"], "--out page.pdf: must end in .html"),
    ],
)
def test_bad_flags_give_one_line_and_exit_code_2(judged_collection, capsys, flags, message):
    assert main(["audit", str(judged_collection.root), *flags]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.strip().count("\n") == 0


def test_wrong_numbers_are_named(judged_collection):
    with pytest.raises(ValueError, match="near must be a cosine from -1 to 1, got 7"):
        audit(judged_collection, near=7)
    with pytest.raises(MatchcutError, match="no judgments 'none'"):
        audit(judged_collection, judgments="none", pairs=100)
