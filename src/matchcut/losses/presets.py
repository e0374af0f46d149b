"""Published settings, each as an `Objective`; other captions of an item are treated as the reference code does.

All of them know only the diagonal, so they want paired batches, or each item once; `same_item="positive"` lets the ids
decide in any batch. `ranp` wants paired batches.
"""

from typing import Literal

from matchcut.losses.hinge import HingeLoss
from matchcut.losses.infonce import InfoNCE
from matchcut.losses.negnce import NegNCE
from matchcut.losses.objective import Expert, Objective, Term
from matchcut.losses.partial_order import PartialOrder
from matchcut.losses.ramp import Ramp
from matchcut.negatives import AdaptiveMargin, DropSimilar, RelevantPositives, SameItem, SemanticMargin
from matchcut.negatives.drop_similar import Population
from matchcut.negatives.treatment import one_of

Role = Literal["positive", "left_out", "margin_zero", "negative"]


def vsepp(
    *, margin: float = 0.2, negatives: Literal["hardest", "semi_hard", "all"] = "hardest", same_item: Role = "negative"
) -> Objective:
    """VSE++ (Faghri et al. 2018; reference code): the hinge on the hardest negative, summed, both directions.

    >>> vsepp()
    Objective([Term(HingeLoss(), [SameItem(role='negative')])])
    """
    return Objective([Term(HingeLoss(margin=margin, negatives=negatives), _same(same_item, margin))])


def exclusion_2021(
    evidence: str,
    *,
    percent: float = 1,
    margin: float = 0.2,
    population: Population = "unordered",
    select: Literal["learned", "evidence"] = "learned",
    same_item: Role = "negative",
) -> Objective:
    """Hard-negative exclusion (Galanopoulos and Mezaris 2021), on the vectors of the captions, published at 1 and 2
    percent.

    >>> exclusion_2021("bert", percent=2).terms[0].treatments[1]
    DropSimilar('bert', percent=2)
    """
    drop = DropSimilar(evidence, percent=percent, population=population, select=select)
    return Objective([Term(HingeLoss(margin=margin), [*_same(same_item, margin), drop])])


def lseh(
    evidence: str = "svd",
    *,
    base: float = 0.185,
    scale: float = 0.025,
    similarity: Literal["rowmax", "cosine", "dot"] = "rowmax",
    divide_by: Literal["item", "anchor"] = "item",
    same_item: Role = "margin_zero",
) -> Objective:
    """LSEH (Gong and Cosma 2023; reference code): margins from the SVD vectors of the captions.

    >>> lseh().terms[0].treatments
    (SemanticMargin('svd'), SameItem(role='margin_zero'))
    """
    margin = SemanticMargin(evidence, base=base, scale=scale, similarity=similarity, divide_by=divide_by)
    return Objective([Term(HingeLoss(), [margin, SameItem(role=same_item)])])


def cmgsd(
    *,
    static_text: str | None = "minilm",
    static_item: str | None = None,
    dynamic: str | None = "own",
    margin: float = 0.2,
    spread: float | None = None,
    negatives: Literal["hardest", "all"] = "hardest",
    reduction: Literal["mean", "mean_terms", "sum"] = "mean",
    start: float = 0.4,
    end: float = 1.0,
    gradient: Literal["detach", "joint"] = "detach",
    diagonal: bool = False,
    hinges: Literal["each", "one"] = "each",
    fixed: bool = True,
    same_item: Role = "negative",
) -> Objective:
    """CMGSD (He et al. 2021): a fixed margin, and adaptive margins of static experts that give way to dynamic ones.

        C = C(m) + w * [C(M dynamic items) + C(M dynamic texts)] + (1 - w) * [C(M static texts) + C(M static items)]

    where C are the hinges of each pair, added before the hardest is taken, and w a ramp from 0 to 1 between `start`
    and `end` of the training. The formula is that of the one public re-implementation; the paper's is not known. The
    defaults are this project's recommendation; the re-implementation is `cmgsd_reimplementation`.

    Args:
        static_text: evidence of a frozen text encoder, or None.
        static_item: evidence of a frozen item encoder, or None.
        dynamic: name of the network's own features, in `Evidence.text` and `Evidence.item`; or None.
        margin: m, and the mean of the adaptive margins.
        spread: None: half the mean.
        hinges: "each" expert has its own, as in C; "one" has the margin (1 - w) * mean of the static margins + w * mean
            of the dynamic ones, and is a term apart from C(m). Which of the two the paper has is not known.
        fixed: whether C(m) is kept beside the adaptive margins.

    >>> len(cmgsd(static_text="bert").terms[0].experts)
    4
    """
    one_of("hinges", hinges, ("each", "one"))
    if dynamic is None and static_text is None and static_item is None:
        raise ValueError("cmgsd needs evidence: static_text, static_item or dynamic")
    full = 1.0 if hinges == "each" else 0.5  # each of two dynamic margins has half a share in their mean
    few = full if static_text is not None and static_item is not None else 1.0
    up, down = Ramp(last=full, start=start, end=end), Ramp(first=few, last=0.0, start=start, end=end)
    sources: list[tuple[str | None, Literal["text", "item"], Ramp]] = [
        (dynamic, "item", up),
        (dynamic, "text", up),
        (static_text, "text", down),
        (static_item, "item", down),
    ]
    same = _same(same_item, margin)
    after = same if same_item == "margin_zero" else []  # an adaptive margin would take the place of the 0
    experts = [
        Expert(
            [AdaptiveMargin(name, mean=margin, spread=spread, gradient=gradient, diagonal=diagonal, of=of), *after],
            weight=weight,
        )
        for name, of, weight in sources
        if name is not None
    ]
    loss = HingeLoss(margin=margin, negatives=negatives, reduction=reduction)
    if hinges == "each":
        return Objective([Term(loss, same, experts=[Expert(), *experts] if fixed else experts)])
    one = HingeLoss(margin=margin, negatives=negatives, reduction=reduction, experts="margins")
    adaptive = Term(one, same, experts=experts, label="adaptive")
    return Objective([Term(loss, same, label="fixed"), adaptive] if fixed else [adaptive])


def cmgsd_reimplementation(*, static_text: str = "minilm", dynamic: str = "own", start: float, end: float) -> Objective:
    """CMGSD with every choice of the public re-implementation (reference code): margin 0.2, spread 1, statistics
    with the diagonal, joint gradient, no static item expert. It ramps from epoch 20 to 50; give these as shares of
    the training.

    >>> cmgsd_reimplementation(start=0.2, end=0.5).terms[0].experts[0]
    Expert()
    """
    return cmgsd(
        static_text=static_text, dynamic=dynamic, spread=1.0, gradient="joint", diagonal=True, start=start, end=end
    )


def negnce(
    *,
    scale: float = 100.0,
    learned: bool = False,
    positive_weight: float = 1.0,
    negative_weight: float = 0.5,
    slack: float = 0.0,
    partial_order: float | None = None,
    same_item: Role = "negative",
) -> Objective:
    """NegNCE (Jiang et al. 2023; released code); with `partial_order`, also TPM-CL's hinge of weight 1 at this
    margin (0.6).

    >>> negnce(partial_order=0.6)
    Objective([Term(NegNCE(), [SameItem(role='negative')]), Term(PartialOrder())])
    """
    loss = NegNCE(
        scale=scale, learned=learned, positive_weight=positive_weight, negative_weight=negative_weight, slack=slack
    )
    terms = [Term(loss, _same(same_item, 0.0))]
    return Objective(terms if partial_order is None else [*terms, Term(PartialOrder(margin=partial_order))])


def infonce(*, scale: float = 100.0, learned: bool = False, same_item: Role = "negative") -> Objective:
    """Symmetric InfoNCE as CLIP uses it (Radford et al. 2021; reference code): labels are positions.

    >>> infonce(scale=20.0)
    Objective([Term(InfoNCE(scale=20.0), [SameItem(role='negative')])])
    """
    return Objective([Term(InfoNCE(scale=scale, learned=learned), _same(same_item, 0.0))])


def ranp(evidence: str, *, threshold: float, margin: float = 0.2, same_item: Role = "positive") -> Objective:
    """RANP (Falcon, Serra and Lanz 2022; reference code): relevant pairs are no negatives, and the hardest relevant
    positive must win as well. Text i and item i must be a pair, whatever `same_item`.

    >>> [term.label for term in ranp("judged", threshold=0.15).terms]
    ['own', 'relevant']
    """
    same = _same(same_item, margin)
    relevant = RelevantPositives(evidence, threshold=threshold)
    others = RelevantPositives(evidence, threshold=threshold, own=False)
    return Objective(
        [
            Term(HingeLoss(margin=margin, positives="pair"), [*same, relevant], label="own"),
            Term(HingeLoss(margin=margin, positives="hardest"), [*same, others], label="relevant"),
        ]
    )


def _same(role: Role, margin: float | None) -> list[SameItem]:
    if role == "positive":
        return []
    return [SameItem(role=role, margin=margin if role == "margin_zero" else None)]
