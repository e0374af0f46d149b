"""The COCO ground truths: counts, and the same numbers as the eccv_caption package on a small world."""

import warnings

import numpy as np
import pytest

from matchcut.errors import MatchcutError
from matchcut.evaluation.cxc import CXC_THRESHOLDS, Rating, cxc_relevance, exclude_self, read_cxc
from matchcut.evaluation.eccv import CocoTruths, coco_folds, evaluate_coco, load_truths

IMAGES, CAPTIONS = np.arange(100, 110), np.arange(1, 51)


def small_world(seed=0):
    """Ten images with five captions each; extra matches in cxc and eccv, whose queries are only some."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(CAPTIONS)
    coco_t2i = {int(c): [int(IMAGES[k // 5])] for k, c in enumerate(order)}

    def turn(t2i):
        i2t = {}
        for c, right in t2i.items():
            for i in right:
                i2t.setdefault(i, []).append(c)
        return i2t

    extra = {c: sorted({*right, *map(int, rng.choice(IMAGES, 2))}) for c, right in coco_t2i.items()}
    some = {c: extra[c] for c in list(extra)[:20]}
    eccv_i2t = turn(some)
    for image in list(eccv_i2t)[:2]:  # ECCV Caption names two captions that are none of COCO's 25,000
        eccv_i2t[image] = [999, *eccv_i2t[image]]
    return CocoTruths((coco_t2i, turn(coco_t2i)), (extra, turn(extra)), (some, eccv_i2t), order)


def test_equals_the_package():
    pytest.importorskip("eccv_caption")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from eccv_caption import Metrics

        theirs = Metrics()
    truths = small_world()
    for name in ("coco", "cxc", "eccv"):
        t2i, i2t = getattr(truths, name)
        setattr(theirs, f"{name}_gts", {"t2i": t2i, "i2t": i2t})
    theirs.coco_ids = truths.caption_ids
    scores = np.random.default_rng(1).normal(size=(50, 10))
    t2i = {int(c): IMAGES[np.argsort(-row)].tolist() for c, row in zip(CAPTIONS, scores, strict=True)}
    i2t = {int(i): CAPTIONS[np.argsort(-column)].tolist() for i, column in zip(IMAGES, scores.T, strict=True)}
    ranked = {"t2i": t2i, "i2t": i2t}
    expected = {
        f"{name} R@{k}": getattr(theirs, f"{name}_recalls")(ranked, "all", K=k)
        for name in ("coco_1k", "coco_5k", "cxc", "eccv")
        for k in (1, 5)
    }
    graded = theirs.eccv_metrics(ranked, "all")
    expected |= {"eccv mAP@R": graded["eccv_map_at_r"], "eccv R-Precision": graded["eccv_rprecision"]}
    ours = evaluate_coco(scores, CAPTIONS, IMAGES, truths, ks=(1, 5)).values
    assert set(ours) == set(expected)
    for name, both in expected.items():
        assert ours[name] == pytest.approx((100 * both["t2i"], 100 * both["i2t"])), name


def test_order_of_the_gallery_does_not_matter():
    truths, rng = small_world(), np.random.default_rng(2)
    scores, rows, columns = rng.normal(size=(50, 10)), rng.permutation(50), rng.permutation(10)
    a = evaluate_coco(scores, CAPTIONS, IMAGES, truths)
    b = evaluate_coco(scores[rows][:, columns], CAPTIONS[rows], IMAGES[columns], truths)
    assert a.values.keys() == b.values.keys()
    for name in a.values:
        assert a.values[name] == pytest.approx(b.values[name])
    assert a.to_json()["cxc R@1"].keys() == {"text_to_image", "image_to_text"}


def test_a_gallery_with_a_hole_is_refused():
    with pytest.raises(ValueError, match="1 captions are not among the ids, the first is 50"):
        evaluate_coco(np.zeros((49, 10)), CAPTIONS[:-1], IMAGES, small_world(), ks=())
    with pytest.raises(ValueError, match="2 images are not among the ids, the first is 108"):
        evaluate_coco(np.zeros((50, 8)), CAPTIONS, IMAGES[:-2], small_world())
    with pytest.raises(ValueError, match=r"do not match 50 caption_ids and 9 image_ids"):
        evaluate_coco(np.zeros((50, 10)), CAPTIONS, IMAGES[:-1], small_world())


def test_the_real_truths_have_the_documented_counts():
    pytest.importorskip("eccv_caption")
    truths = load_truths()
    assert [len(t) for t in truths.coco] == [25_000, 5_000]
    assert [len(t) for t in truths.cxc] == [24_972, 5_000]
    assert [len(t) for t in truths.eccv] == [1_332, 1_261]
    assert sum(map(len, truths.cxc[0].values())) == sum(map(len, truths.cxc[1].values())) == 35_585
    assert [sum(map(len, t.values())) for t in truths.eccv] == [11_279, 22_550]
    folds = coco_folds(truths)
    assert [len(f[0]) for f in folds] == [5_000] * 5
    right = {c for answers in truths.eccv[1].values() for c in answers}
    assert right - set(truths.caption_ids.tolist()) == {144675, 467259}  # they can be found by nobody


def test_missing_judgments_are_said(tmp_path):
    with pytest.raises(MatchcutError, match="the judgments cannot be read"):
        load_truths(tmp_path)


def test_real_ratings_agree_with_the_package(shared_data):
    pytest.importorskip("eccv_caption")
    right = load_truths().cxc[0]
    ratings = read_cxc(shared_data / "coco" / "cxc" / "sits_test.csv")
    assert {r.sampling for r in ratings} <= {"c2i_intrasim", "c2i_original", "c2i_isim", "c2i_csim"}
    matches = [r for r in ratings if r.score >= CXC_THRESHOLDS["sits"]]
    pairs = [(int(r.first.split(":")[-1]), int(r.second[:-4].split("_")[-1])) for r in matches]
    inside = [i in right.get(c, ()) for c, i in pairs]
    assert np.mean(inside) > 0.99


def test_ratings_become_relevance():
    ratings = [Rating("a", "b", 3.0, ""), Rating("a", "c", 2.9, ""), Rating("b", "b", 5.0, "")]
    found = cxc_relevance(ratings, ["a", "b", "c"], ["a", "b", "c"], threshold=3.0)
    assert found.tolist() == [[False, True, False], [True, False, False], [False, False, False]]
    assert cxc_relevance(ratings, ["a"], ["c", "b"], threshold=2.5).tolist() == [[True, True]]


def test_nothing_finds_itself():
    assert np.isneginf(np.diag(exclude_self(np.ones((2, 2))))).all()
    with pytest.raises(ValueError, match=r"square, got \(1, 2\)"):
        exclude_self(np.ones((1, 2)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b,c\n", "line 1: the header"),
        ("caption,image,agg_score,sampling_method\na,b,high,x\n", "line 2: not two ids"),
        ("caption,image,agg_score,sampling_method\na,b,3\n", "line 2: not two ids"),
        ("caption,image,agg_score,sampling_method\na,b,7,x\n", "line 2: the score 7 is not between"),
    ],
)
def test_bad_rating_files(tmp_path, text, message):
    (tmp_path / "r.csv").write_text(text)
    with pytest.raises(MatchcutError, match=message):
        read_cxc(tmp_path / "r.csv")
