"""Published test protocols: what the gallery and the queries are, so that numbers are compared with their like."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Protocol:
    """items, texts: the published numbers of gallery items and text queries; how: anything that changes the numbers."""

    title: str
    items: int
    texts: int
    how: str
    validation: bool = True


PROTOCOLS: dict[str, Protocol] = {
    "msrvtt-1ka": Protocol(
        "MSR-VTT 1k-A",
        1000,
        1000,
        "the one sentence a video in MSRVTT_JSFUSION_test.csv; has no validation part, published epochs are often "
        "picked on test",
        False,
    ),
    "msrvtt-full": Protocol("MSR-VTT official", 2990, 59800, "every one of the 20 captions a video is a query"),
    "msvd": Protocol(
        "MSVD", 670, 27763, "every caption is a query; item to text: item_to_text='groups' (CLIP4Clip) or 'captions'"
    ),
    "vatex": Protocol("VATEX", 1500, 15000, "every one of the 10 English captions a video is a query"),
    "didemo": Protocol("DiDeMo", 1004, 1004, "paragraph to video: all descriptions of a video joined with spaces"),
    "activitynet": Protocol(
        "ActivityNet Captions", 4917, 4917, "paragraph to video on val_1: sentences joined with spaces", False
    ),
    "lsmdc": Protocol("LSMDC", 1000, 1000, "one sentence a clip"),
    "coco-5k": Protocol(
        "COCO 5K (Karpathy)", 5000, 25000, "five captions an image; evaluate_coco also gives 1K, CxC and ECCV Caption"
    ),
    "flickr30k": Protocol("Flickr30k (Karpathy)", 1000, 5000, "five captions an image"),
    "flickr8k": Protocol("Flickr8k", 1000, 5000, "five captions an image"),
}


def paragraphs(sentences: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """One text an item, its sentences joined with spaces: the paragraph protocol of DiDeMo and ActivityNet Captions.

    >>> paragraphs({"v_1": ["A man enters. ", "He sits."]})
    {'v_1': 'A man enters. He sits.'}
    """
    return {item: " ".join(s.strip() for s in parts) for item, parts in sentences.items()}
