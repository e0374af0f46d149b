"""Caption vectors by TF-IDF and a truncated SVD, fitted on the captions themselves."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

COMPONENTS = 400


def svd_vectors(texts: Sequence[str], *, components: int = COMPONENTS, seed: int = 122) -> NDArray[np.float32]:
    """The description semantics of LSEH: one vector a caption, [N, k] float32, not normalised.

        D = U_k S_k  of the TF-IDF matrix (N captions x terms),  k = min(components, N - 1, terms - 1)

    Every caption is a document. Characters outside a-z, A-Z and # become spaces, words are lower-cased, stop words
    left out, the rest stemmed (Porter); TF-IDF as scikit-learn has it: smooth idf, rows of length 1. A caption without
    a word that counts has a vector of zeros. Y. Gong and G. Cosma, Pattern Recognition 137 (2023), 109272 (steps and
    numbers from the reference code). Different from it: scikit-learn's stop words also in the first pass (it takes
    NLTK's), fewer power iterations (any accurate SVD gives the same dot products), and the bound on k
    (reconstructed).

    Raises:
        ValueError: for fewer than two captions, or captions that leave fewer than two terms.

    >>> vectors = svd_vectors(["a dog runs fast", "the dog is running", "two boats sail"], components=2)
    >>> vectors.shape, bool(vectors[0] @ vectors[1] > 0.3 > abs(vectors[0] @ vectors[2]))
    ((3, 2), True)
    """
    from nltk.stem.porter import PorterStemmer
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, TfidfVectorizer

    stemmer, stems = PorterStemmer(), {}
    documents = []
    for text in texts:
        words = [word for word in re.sub(r"[^a-zA-Z#]", " ", text).lower().split() if word not in ENGLISH_STOP_WORDS]
        for word in words:
            if word not in stems:
                stems[word] = stemmer.stem(word)
        documents.append(" ".join(stems[word] for word in words))
    if len(documents) < 2:
        raise ValueError(f"the vectors of LSEH need at least 2 captions, got {len(documents)}")
    try:
        matrix = TfidfVectorizer(stop_words="english", smooth_idf=True).fit_transform(documents)
    except ValueError as error:  # no word is left
        raise ValueError(f"the vectors of LSEH need captions with content words: {error}") from error
    k = min(components, len(documents) - 1, matrix.shape[1] - 1)
    if k < 1:
        raise ValueError(f"the vectors of LSEH need at least 2 different terms, the captions have {matrix.shape[1]}")
    found = TruncatedSVD(n_components=k, algorithm="randomized", n_iter=10, random_state=seed).fit_transform(matrix)
    vectors: NDArray[np.float32] = found.astype(np.float32)
    return vectors
