"""Several pieces of evidence as one detector of non-negatives."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from matchcut.audit.content import Ints
from matchcut.audit.detection import Bools, Floats, area_under_roc

C = 0.3  # inverse strength of the L2 penalty on the weights of standardised evidence
FOLDS = 5


@dataclass(frozen=True)
class Combined:
    """Logistic regression on standardised evidence: log odds = intercept + sum_k w_k (e_k - mean_k) / std_k.

    weights: of standardised evidence, by name. cross_validated: area under the ROC curve on the pairs it was fitted on,
    each item predicted by a fit on other items.
    """

    values: Floats  # log odds of all pairs, [P]
    weights: dict[str, float]
    cross_validated: float


def combine(evidence: Mapping[str, Floats], relevant: Bools, items: Ints, fit: Bools) -> Combined:
    """Fit on the pairs `fit`, predict all.

    Args:
        evidence: name -> float [P], finite. relevant, fit: bool [P]. items: int64 [P], folds keep items together.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    inputs = np.stack(list(evidence.values()), axis=1).astype(np.float64)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=1000))
    folds = GroupKFold(min(FOLDS, len(np.unique(items[fit]))))
    guessed = cross_val_predict(
        model, inputs[fit], relevant[fit], groups=items[fit], cv=folds, method="decision_function"
    )
    model.fit(inputs[fit], relevant[fit])
    return Combined(
        values=model.decision_function(inputs),
        weights=dict(zip(evidence, map(float, model[-1].coef_[0]), strict=True)),
        cross_validated=area_under_roc(guessed, relevant[fit]),
    )
