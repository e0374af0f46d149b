"""What is known about a batch beside the learned scores."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Kind = Literal["cosine", "dot"]
Of = Literal["text", "item", "scores"]
Captions = Literal["best", "mean"]
Vectors = Tensor | tuple[Tensor, Tensor]
"""float [N, d]; or several vectors a row: float [N, k, d], or (float [sum of n, d], int64 lengths [N])."""
STRIP = 128  # columns of a symmetric matrix computed together on a CPU


class NotFiniteError(ValueError):
    """Evidence holds a number that is not finite.

    side: "text" or "item"; rows: the positions in the batch, of which the message shows three.
    """

    def __init__(self, what: str, side: Literal["text", "item"], rows: list[int]) -> None:
        self.side, self.rows = side, rows
        more = " ..." if len(rows) > 3 else ""
        super().__init__(f"{what} {', '.join(map(str, rows[:3]))}{more} of the batch: a number that is not finite")


@dataclass(frozen=True, eq=False)
class Evidence:
    """Vectors and stored scores of a batch, by name; similarities on demand, each computed once.

    The similarity of the pair (text t, item v) is that of t's vector and the vector(s) of v's own text ("text"),
    that of the vectors of t's own item and of v ("item"), or an entry of a stored matrix ("scores").

    Args:
        text: name -> float [T, d], a vector of each text.
        item_text: name -> the text vectors of each item: [V, d], or several captions an item, [V, k, d] or
            (values [sum of n, d], lengths [V]). Left out: the batch is paired, item j's caption is text j.
        item: name -> float [V, d], a vector of each item.
        text_item: name -> float [T, d], the vector of each text's own item. Left out: the batch is paired.
        scores: name -> float [T, V], a stored matrix: judgments, a teacher, an ensemble.
        partners: name -> (float [N], float [N]): scores of which the first should be above the second (`PartialOrder`).

    Raises:
        ValueError: from `similarity`, for an unknown name, shapes that do not fit, or a number that is not finite
            (`NotFiniteError`; an `Objective` adds the ids of the items).

    >>> evidence = Evidence(text={"bert": torch.tensor([[1.0, 0.0], [0.6, 0.8]])})
    >>> evidence.similarity("bert")
    tensor([[1.0000, 0.6000],
            [0.6000, 1.0000]])
    """

    text: Mapping[str, Tensor] = field(default_factory=dict)
    item_text: Mapping[str, Vectors] = field(default_factory=dict)
    item: Mapping[str, Tensor] = field(default_factory=dict)
    text_item: Mapping[str, Tensor] = field(default_factory=dict)
    scores: Mapping[str, Tensor] = field(default_factory=dict)
    partners: Mapping[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    _known: dict[tuple[str, ...], Tensor] = field(default_factory=dict, init=False, repr=False)

    def similarity(
        self, name: str, kind: Kind = "cosine", *, of: Of | None = None, captions: Captions = "best"
    ) -> Tensor:
        """The similarity of every text and every item by one piece of evidence, float32 [T, V].

        Args:
            name: which evidence.
            kind: "cosine" (a zero vector has similarity 0) or "dot". Stored scores are taken as they are.
            of: where to look; None: wherever the name is, which must be one place.
            captions: with several captions an item, the "best" or the "mean" of their similarities.
        """
        of = of or self._where(name)
        if kind not in ("cosine", "dot") or captions not in ("best", "mean") or of not in ("text", "item", "scores"):
            raise ValueError(
                "a similarity is 'cosine' or 'dot', of 'text', 'item' or 'scores', with the 'best' or the 'mean' of "
                f"captions; got {kind!r}, {of!r}, {captions!r}"
            )
        key = (name, of, kind, captions)
        if key not in self._known:
            with torch.enable_grad():  # whoever asks first may want a constant, the next one a gradient
                self._known[key] = self._compute(name, kind, of, captions)
        return self._known[key]

    def rows(self, part: slice) -> "Evidence":
        """The evidence for some of the texts and all of the items."""
        return Evidence(
            text={name: x[part] for name, x in self.text.items()},
            item_text={**self.text, **self.item_text},
            item=self.item,
            text_item={name: x[part] for name, x in {**self.item, **self.text_item}.items()},
            scores={name: x[part] for name, x in self.scores.items()},
        )

    def symmetric(self, name: str, *, of: Of | None = None) -> bool:
        """Whether the similarity of i and j is that of j and i: one vector a pair, compared with itself."""
        of = of or self._where(name)
        return of != "scores" and name not in (self.item_text if of == "text" else self.text_item)

    def vectors(self, name: str, of: Of) -> tuple[Tensor, Vectors]:
        """The two sides that `similarity` compares: [T, d] and [V, d] (or several a row)."""
        if of == "text":
            side = _get(self.text, name, "text")
            return side, self.item_text.get(name, side)
        other = _get(self.item, name, "item")
        return self.text_item.get(name, other), other

    def _where(self, name: str) -> Of:
        places: list[Of] = [of for of in ("text", "item", "scores") if name in getattr(self, of)]
        if len(places) != 1:
            known = sorted({*self.text, *self.item, *self.scores})
            raise ValueError(
                f"evidence {name!r} is in {' and '.join(places)}; say which with of="
                if places
                else f"no evidence {name!r}; there is {', '.join(known) or 'none'}"
            )
        return places[0]

    def _compute(self, name: str, kind: Kind, of: Of, captions: Captions) -> Tensor:
        if of == "scores":
            what = f"evidence {name!r} (scores)"
            return _whole(_matrix(_get(self.scores, name, "scores"), what), what, "text")
        what = f"evidence {name!r} ({of})"
        left, right = self.vectors(name, of)
        rows = _prepared(left, kind, what, "text")
        if right is left:
            return _mirrored(rows @ rows.T) if rows.requires_grad else _gram(rows)
        if isinstance(right, tuple):
            values, lengths = right
            owners = _owners(lengths.to(values.device), len(values))
            columns = _same_width(rows, _prepared(values, kind, what, "item", owners), what)
            return _by_item(rows @ columns.T, owners, len(lengths), captions)
        columns = _same_width(rows, _prepared(right, kind, what, "item"), what)
        if columns.ndim == 3:
            each = torch.einsum("td,vkd->tvk", rows, columns)  # t texts, v items, k captions, d dimensions
            return each.amax(2) if captions == "best" else each.mean(2)
        return rows @ columns.T


def _get(mapping: Mapping[str, Tensor], name: str, where: str) -> Tensor:
    if name not in mapping:
        raise ValueError(f"no evidence {name!r} in {where}; there is {', '.join(sorted(mapping)) or 'none'}")
    return mapping[name]


def _wide(values: Tensor) -> Tensor:
    """At least float32: statistics and thresholds in half precision would be decided by rounding."""
    return values if values.dtype == torch.float64 else values.float()


def _matrix(values: Tensor, what: str) -> Tensor:
    if not isinstance(values, Tensor) or values.ndim < 2:
        got = f"shape {tuple(values.shape)}" if isinstance(values, Tensor) else f"a {type(values).__name__}"
        raise ValueError(f"{what} must be a tensor with a row for each text or item, got {got}")
    return _wide(values)


def _same_width(rows: Tensor, columns: Tensor, what: str) -> Tensor:
    if rows.shape[1] != columns.shape[-1]:
        raise ValueError(f"{what} compares vectors of {rows.shape[1]} and of {columns.shape[-1]} numbers")
    return columns


def _prepared(
    vectors: Tensor, kind: Kind, what: str, side: Literal["text", "item"], owners: Tensor | None = None
) -> Tensor:
    wide = _whole(_matrix(vectors, what), what, side, owners)
    return functional.normalize(wide, dim=-1) if kind == "cosine" else wide


def _whole(values: Tensor, what: str, side: Literal["text", "item"], owners: Tensor | None = None) -> Tensor:
    """The values, after a look for numbers that are not finite; a sum per row finds them in one pass."""
    sums = values.detach().flatten(1).sum(1)
    if not bool(torch.isfinite(sums).all()):
        wrong = (~torch.isfinite(values.detach().flatten(1)).all(1)).nonzero().flatten()
        rows = (wrong if owners is None else owners[wrong]).tolist()
        if rows:
            raise NotFiniteError(f"{what}, {side}", side, sorted(set(rows)))
    return values


def _gram(rows: Tensor) -> Tensor:
    """`rows @ rows.T`, symmetric to the last bit; on a CPU for less work than the whole product.

    What is on and below the diagonal is computed in strips of columns; what is above it is their transpose.
    """
    if len(rows) <= STRIP or rows.device.type != "cpu":
        return _mirrored(rows @ rows.T)
    out = rows.new_empty(len(rows), len(rows))
    for start in range(0, len(rows), STRIP):
        stop = start + STRIP
        strip = rows[start:] @ rows[start:stop].T
        out[start:stop, start:stop] = _mirrored(strip[:STRIP])
        out[stop:, start:stop] = strip[STRIP:]
        out[start:stop, stop:] = strip[STRIP:].T.contiguous()  # faster than transposing into a part of a matrix
    return out


def _mirrored(square: Tensor) -> Tensor:
    """The larger of an entry and of its mirror image for both: a product of matrices may round the two differently."""
    return torch.maximum(square, square.T)


def _owners(lengths: Tensor, captions: int) -> Tensor:
    """The item of each caption, int64 [captions]."""
    if int(lengths.sum()) != captions or bool((lengths < 1).any()):
        raise ValueError(f"caption lengths sum to {int(lengths.sum())} for {captions} vectors; each must be 1 or more")
    return torch.repeat_interleave(torch.arange(len(lengths), device=lengths.device), lengths)


def _by_item(each: Tensor, owners: Tensor, items: int, captions: Captions) -> Tensor:
    """From [T, captions] to [T, V]: the best or the mean over each item's captions."""
    out = each.new_full((each.shape[0], items), 0.0)
    reduce = "amax" if captions == "best" else "mean"
    return out.scatter_reduce(1, owners.expand_as(each), each, reduce, include_self=False)
