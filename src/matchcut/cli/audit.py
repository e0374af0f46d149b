"""`matchcut audit`: likely false negatives of a collection, and a model's hardest negatives."""

from pathlib import Path

from matchcut.cli.flags import Many, joined


def audit(
    collection: Path,
    /,
    *,
    model: str | None = None,
    out: Path | None = None,
    split: str | None = None,
    scheme: str = "default",
    text: str = "minilm",
    item: str | None = "efficientnet-lite0",
    judgments: str | None = None,
    near: float = 0.9,
    similar: float = 0.7,
    queries: int = 10_000,
    batch: Many[int] = (),
    json: bool = False,
) -> None:
    """Find captions that are true of other items than their own.

    Duplicates across items, how alike captions are, how many false negatives a batch will hold, and what each
    percentage or threshold would leave out. With --model its hardest negatives too. Where there are human judgments,
    how well each piece of evidence agrees with them, and all of it together.

    Args:
        collection: Folder of the collection.
        model: Name of a trained model in it.
        out: Write the page to this .html file and the numbers beside it as .json.
        split: Look at one part only, such as train, by default at all captions.
        scheme: Split scheme that the part is of, such as 9k.
        text: Feature set of captions to compare.
        item: Feature set of frames to compare; None compares no pictures.
        judgments: Source of human judgments, by default the first partial ones that suffice.
        near: Cosine from which two captions are near duplicates.
        similar: Cosine above which a pair is a likely false negative.
        queries: How many captions are compared with all others, drawn at random if there are more.
        batch: Sizes of the training batches to look at, such as --batch 64 4096; by default 128, 512 and 1,024.
        json: Print JSON instead of tables.
    """
    from json import dumps

    from rich.console import Console

    from matchcut.audit import audit as run
    from matchcut.audit import write_report
    from matchcut.cli.audit_tables import tables
    from matchcut.collection import Collection
    from matchcut.errors import MatchcutError

    for name, value in (("near", near), ("similar", similar)):
        if not -1 <= value <= 1:
            raise MatchcutError(f"--{name} {value}: must be a cosine from -1 to 1")
    if queries < 1:
        raise MatchcutError(f"--queries {queries}: must be at least 1")
    if out is not None and out.suffix != ".html":
        raise MatchcutError(f"--out {out}: must end in .html; the numbers go beside it as .json")
    opened = Collection.open(collection)
    with Console(stderr=True).status("audit") as status:
        found = run(
            opened, model=model, split=split, scheme=scheme, text=text, item=item, judgments=judgments, near=near,
            similar=similar, queries=queries, batches=joined(batch), progress=status.update,
        )  # fmt: skip
        written = write_report(found, out) if out is not None else []
    if json:
        print(dumps(found.to_json(), indent=2, ensure_ascii=False))
        return
    console = Console()
    for part in tables(found):
        console.print(part)
    for path in written:
        console.print(f"written to {path}", highlight=False)
