"""Is a difference real? Paired permutation tests, and a correction for many comparisons."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from matchcut.evaluation.arrays import to_numpy
from matchcut.evaluation.ranks import Floats
from matchcut.evaluation.resampling import CELLS, bootstrap, bootstrap_means, units

EXACT_LIMIT = 13  # up to 2^13 sign patterns are enumerated instead of sampled


@dataclass(frozen=True)
class Comparison:
    """A minus B on the same queries. p is two-sided; p_adjusted is Holm's, over the comparisons made together."""

    name: str
    difference: float
    low: float
    high: float
    p: float
    p_adjusted: float
    units: int
    exact: bool

    def verdict(self, a: str = "A", b: str = "B", *, alpha: float = 0.05, higher_is_better: bool = True) -> str:
        """Say who wins, and only if the corrected test says so.

        >>> Comparison("R@1", 2.0, 0.5, 3.5, 0.01, 0.03, 100, False).verdict()
        'A beats B'
        >>> Comparison("R@1", 2.0, -0.5, 4.5, 0.09, 0.27, 100, False).verdict()
        'no difference shown'
        """
        if not self.p_adjusted < alpha:
            return "no difference shown"
        return f"{a} beats {b}" if (self.difference > 0) == higher_is_better else f"{b} beats {a}"

    def to_json(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


def paired_permutation(
    a: Any, b: Any, *, clusters: Any = None, samples: int = 10_000, level: float = 0.95, seed: int = 0, name: str = ""
) -> Comparison:
    """Do two systems differ on the same queries? Two-sided sign-flip test of the mean difference (Fisher 1935).

    If the systems are the same, the sign of each query's difference is a coin flip. p is the share of sign patterns
    whose mean difference
    is at least as large as the observed one: all patterns for up to 13 units, otherwise (1 + hits) / (1 + samples)
    over random ones. With clusters, all queries of one item are flipped together.

    Args:
        a, b: one number a query, [N], same order. clusters: item ids, [N]. samples: sign patterns and bootstrap
            replicates.

    Raises:
        ValueError: if the lengths differ.

    >>> paired_permutation([1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0]).p  # 2 of 64 sign patterns
    0.03125
    """
    first, second = to_numpy(a).astype(np.float64), to_numpy(b).astype(np.float64)
    if first.shape != second.shape:
        raise ValueError(
            f"the two systems have {first.shape} and {second.shape} values; they must be of the same queries"
        )
    difference = first - second
    sums, _ = units(difference, clusters)
    p = float(_sign_flip_p(sums[:, None], samples=samples, seed=seed)[0])
    interval = bootstrap(difference, clusters=clusters, samples=samples, level=level, seed=seed)
    n = len(sums)
    return Comparison(name, interval.value, interval.low, interval.high, p, p, n, n <= EXACT_LIMIT)


def _sign_flip_p(sums: Floats, *, samples: int, seed: int) -> Floats:
    """Two-sided p of each column of sums over units, [units, columns]; all columns see the same sign patterns."""
    n = len(sums)
    observed = np.abs(sums.sum(axis=0))
    limit = observed - 1e-12 * np.abs(sums).sum(axis=0)  # sums in another order differ in the last digits
    rng = np.random.default_rng(seed)
    if n <= EXACT_LIMIT:
        signs = 1 - 2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
        return np.asarray(np.mean(np.abs(signs @ sums) >= limit, axis=0))
    hits = np.zeros(sums.shape[1], dtype=np.int64)
    step = max(1, CELLS // n)
    for start in range(0, samples, step):
        signs = 1 - 2 * rng.integers(0, 2, size=(min(step, samples - start), n), dtype=np.int8)
        hits += np.count_nonzero(np.abs(signs.astype(np.float64) @ sums) >= limit, axis=0)
    return np.asarray((1 + hits) / (1 + samples))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction for several tests (Holm 1979): adjusted p-values, in the given order.

    The i-th smallest of m is multiplied by m - i + 1, and made no smaller than the one before it, and at most 1.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p-values must lie between 0 and 1, got {list(p_values)}")
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    result = np.empty_like(p)
    result[order] = np.minimum(steps, 1.0)
    return [float(v) for v in result]


def compare(
    a: Mapping[str, Any], b: Mapping[str, Any], *, clusters: Any = None, samples: int = 10_000, seed: int = 0
) -> list[Comparison]:
    """Compare two systems on several measures, query by query, Holm-corrected together.

    MdR is passed over: it has no value per query, and the test of the mean rank is that of MnR.

    Args:
        a, b: {measure: one number a query}, for example `DirectionMetrics.per_query()` or {"xinfAP": values per topic}.

    >>> [c.name for c in compare({"R@1": [1.0, 0.0]}, {"R@1": [0.0, 0.0]})]
    ['R@1']
    """
    if set(a) != set(b):
        raise ValueError(f"the two systems have different measures: {sorted(set(a) ^ set(b))}")
    names = [k for k in a if k.split()[-1] != "MdR"]
    found = [paired_permutation(a[k], b[k], clusters=clusters, samples=samples, seed=seed, name=k) for k in names]
    return with_holm(found)


@dataclass(frozen=True)
class PairComparison:
    """System a against system b on one measure."""

    a: str
    b: str
    comparison: Comparison

    def verdict(self) -> str:
        """ "a beats b" with the names in it, or "no difference shown"; the measure must be one where more is better."""
        return self.comparison.verdict(self.a, self.b)


def compare_all(
    systems: Mapping[str, Mapping[str, Any]], *, clusters: Any = None, samples: int = 10_000, seed: int = 0
) -> list[PairComparison]:
    """Compare every two of many systems on every measure, Holm-corrected over all of these comparisons together.

    All tests see the same sign patterns and resamples, so each result is that of `paired_permutation`. The number of
    patterns grows with the number of comparisons, as the correction would otherwise leave nothing to be found.

    Args:
        systems: {system: {measure: one number a query, higher is better}}, same measures and queries for all.
        clusters: ids of what is resampled and flipped together, one a query. samples: at least so many.

    >>> found = compare_all({"x": {"R@1": [1.0] * 9}, "y": {"R@1": [0.0] * 9}})
    >>> found[0].verdict(), found[0].comparison.p
    ('x beats y', 0.00390625)
    """
    names = list(systems)
    measures = list(next(iter(systems.values()), {}))
    if any(list(m) != measures for m in systems.values()):
        raise ValueError("the systems have different measures, or in different order; give the same ones for all")
    pairs = [(a, b, m) for i, a in enumerate(names) for b in names[i + 1 :] for m in measures]
    if not pairs:
        return []
    samples = max(samples, 40 * len(pairs))
    values = {n: {m: to_numpy(v).astype(np.float64) for m, v in of.items()} for n, of in systems.items()}
    sizes = {v.shape for of in values.values() for v in of.values()}
    if len(sizes) > 1:
        raise ValueError(f"the systems have values of shapes {sorted(sizes)}; they must be of the same queries")
    differences = np.stack([values[a][m] - values[b][m] for a, b, m in pairs], axis=1)
    sums = np.stack([units(differences[:, k], clusters)[0] for k in range(len(pairs))], axis=1)
    p = _sign_flip_p(sums, samples=samples, seed=seed)
    spans = bootstrap_means(differences, clusters=clusters, samples=min(samples, 10_000), seed=seed)
    n = len(sums)
    raw = [
        Comparison(m, s.value, s.low, s.high, float(q), float(q), n, n <= EXACT_LIMIT)
        for (_, _, m), s, q in zip(pairs, spans, p, strict=True)
    ]
    return [PairComparison(a, b, c) for (a, b, _), c in zip(pairs, with_holm(raw), strict=True)]


def with_holm(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The same comparisons, with p_adjusted corrected over all of them."""
    adjusted = holm([c.p for c in comparisons])
    return [Comparison(**{**asdict(c), "p_adjusted": p}) for c, p in zip(comparisons, adjusted, strict=True)]
