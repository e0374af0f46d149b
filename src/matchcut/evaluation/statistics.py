"""Is it real? Bootstrap intervals, paired permutation tests, and a correction for many comparisons."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from matchcut.evaluation.arrays import Array, to_numpy
from matchcut.evaluation.ranks import Floats

EXACT_LIMIT = 13  # up to 2^13 sign patterns are enumerated instead of sampled
CELLS = 1 << 22  # random numbers drawn at a time


@dataclass(frozen=True)
class Interval:
    """A value with a percentile bootstrap interval; units: how many independent units were resampled."""

    value: float
    low: float
    high: float
    level: float
    samples: int
    units: int

    def __str__(self) -> str:
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"

    def to_json(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


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


def _units(values: Any, clusters: Any) -> tuple[Floats, Floats]:
    """Sum and count of the values of every independent unit."""
    array = to_numpy(values).astype(np.float64)
    if array.ndim != 1 or not len(array):
        raise ValueError(f"values must be a non-empty row of numbers, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"values[{int(np.argmin(np.isfinite(array)))}] is not a finite number")
    if clusters is None:
        return array, np.ones(len(array))
    names = to_numpy(clusters)
    if len(names) != len(array):
        raise ValueError(f"{len(names)} clusters for {len(array)} values; give one a value")
    _, codes = np.unique(names, return_inverse=True)
    return np.bincount(codes, weights=array).astype(np.float64), np.bincount(codes).astype(np.float64)


def bootstrap(
    values: Any,
    *,
    clusters: Any = None,
    statistic: Literal["mean", "median"] = "mean",
    samples: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap interval of a mean or median over queries (Efron 1979).

    Several captions of one item are not independent: if the model finds the item by one of them, it tends to by the
    others. Resampling single captions then gives intervals that are too narrow. Pass the item ids as `clusters` and
    whole items are resampled, with all their captions (the mean is then the ratio of the resampled sums to the
    resampled counts). The interval speaks of other queries of the same kind; not of another gallery, and not of
    another training seed.

    Args:
        values: one number a query, [N]. clusters: one id a query, [N]; equal ids are resampled together.
        statistic: "mean" or "median". samples: bootstrap replicates. level: e.g. 0.95. seed: of the random draws.

    Raises:
        ValueError: for empty or non-finite values, or a level outside (0, 1).

    >>> i = bootstrap([0.0, 1.0] * 50, seed=1)
    >>> i.value, 0.35 < i.low < 0.45, 0.55 < i.high < 0.65
    (0.5, True, True)
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
    if samples < 1:
        raise ValueError(f"samples must be at least 1, got {samples}")
    sums, counts = _units(values, clusters)
    n = len(sums)
    array = to_numpy(values).astype(np.float64)
    order = np.argsort(array)
    member = order if clusters is None else np.unique(to_numpy(clusters), return_inverse=True)[1][order]
    rng = np.random.default_rng(seed)
    drawn: list[Floats] = []
    step = max(1, CELLS // n)
    for first in range(0, samples, step):
        m = min(step, samples - first)
        times = rng.multinomial(n, np.full(n, 1 / n), size=m)
        if statistic == "mean":
            drawn.append((times @ sums) / (times @ counts))
        else:
            drawn.append(_medians(array[order], times[:, member]))
    value = float(array.mean() if statistic == "mean" else np.median(array))
    low, high = np.quantile(np.concatenate(drawn), [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high), level, samples, n)


def bootstrap_means(
    values: Any, *, clusters: Any = None, samples: int = 10_000, level: float = 0.95, seed: int = 0
) -> list[Interval]:
    """`bootstrap` of the mean of every column of values [N, K], all from the same resamples: fast for whole curves.

    >>> [i.value for i in bootstrap_means([[0.0, 1.0], [1.0, 1.0]], samples=100)]
    [0.5, 1.0]
    """
    array = to_numpy(values).astype(np.float64)
    if array.ndim != 2 or not array.size:
        raise ValueError(f"values must be [queries, columns] and not empty, got shape {array.shape}")
    columns = [_units(array[:, k], clusters) for k in range(array.shape[1])]
    sums, counts = np.stack([c[0] for c in columns], axis=1), columns[0][1]
    n = len(counts)
    rng = np.random.default_rng(seed)
    drawn: list[Floats] = []
    step = max(1, CELLS // n)
    for first in range(0, samples, step):
        times = rng.multinomial(n, np.full(n, 1 / n), size=min(step, samples - first)).astype(np.float64)
        drawn.append((times @ sums) / (times @ counts)[:, None])
    low, high = np.quantile(np.concatenate(drawn), [(1 - level) / 2, (1 + level) / 2], axis=0)
    means = array.mean(axis=0)
    return [Interval(float(m), float(a), float(b), level, samples, n) for m, a, b in zip(means, low, high, strict=True)]


def _medians(ordered: Floats, times: Array) -> Floats:
    """Median of each resample, [m]: ordered values [N], times [m, N] how often each was drawn."""
    total = np.cumsum(times, axis=1)
    size = total[:, -1:]
    lower = ordered[(total > (size - 1) // 2).argmax(axis=1)]
    upper = ordered[(total > size // 2).argmax(axis=1)]
    result: Floats = (lower + upper) / 2
    return result


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
    sums, _ = _units(difference, clusters)
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
    if ((p < 0) | (p > 1)).any():
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
    sums = np.stack([_units(differences[:, k], clusters)[0] for k in range(len(pairs))], axis=1)
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


def intervals(
    per_query: Mapping[str, Any], *, clusters: Any = None, samples: int = 10_000, seed: int = 0
) -> dict[str, Interval]:
    """A bootstrap interval for each measure; the median for MdR, the mean for the rest.

    >>> intervals({"R@1": [0.0, 100.0], "MdR": [1, 3]})["MdR"].value
    2.0
    """
    medians = {name for name in per_query if name.split()[-1] == "MdR"}
    means = {name: to_numpy(values).astype(np.float64) for name, values in per_query.items() if name not in medians}
    found: dict[str, Interval] = {}
    if means:
        columns = np.stack(list(means.values()), axis=1)
        spans = bootstrap_means(columns, clusters=clusters, samples=samples, seed=seed)
        found = dict(zip(means, spans, strict=True))
    for name in medians:
        found[name] = bootstrap(per_query[name], clusters=clusters, statistic="median", samples=samples, seed=seed)
    return {name: found[name] for name in per_query}
