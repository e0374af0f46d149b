"""The tables that `matchcut audit` prints."""

from rich.markup import escape
from rich.table import Table

from matchcut.audit import Audit


def tables(audit: Audit) -> list[str | Table]:
    """The main numbers of an audit: sentences and tables, in the order of the page."""
    facts = audit.to_json()
    exact, near = facts["exact_duplicates"], facts["near_duplicates"]
    shown: list[str | Table] = [
        f"{facts['captions']:,} captions of {facts['items']:,} items; {exact['captions']:,} captions stand word for "
        f"word with another item too ({exact['items']:,} items); {100 * near['share_with_one']:.1f}% have a near twin "
        f"at another item (cosine {near['threshold']:g} or more, {near['compared']:,} captions compared with all)"
    ]
    table = _table(
        "false negatives in a random batch", "batch", "same words", f"cosine above {audit.similar:g}", "expected"
    )
    for one in audit.batches:
        span = f"{one.above:.1f} [dim]{one.low:.0f}-{one.high:.0f}[/]"
        table.add_row(f"{one.size:,}", f"{one.exact:.2f}", span, f"{one.expected:.1f}")
    if audit.batches:
        shown.append(table)
    table = _table("what would be left out", "setting", "cosine above", "share of pairs", "per caption, batch of 128")
    for row in audit.left_out:
        table.add_row(
            row["setting"], f"{row['threshold']:.3f}", f"{100 * row['share']:.3g}%", f"{row['per_caption']:.3g}"
        )
    shown.append(table)
    if audit.by_rank is not None and audit.hardest is not None:
        table = _table(
            f"hardest negatives of {audit.hardest.model} on {audit.hardest.part}: how many look like non-negatives",
            "negative", "beat the right item", "in the top 0.1%", "in the top 1%", f"cosine above {audit.similar:g}",
        )  # fmt: skip
        for row in audit.by_rank:
            values = (row[name] for name in ("beats", "0.1", "1", "similar"))
            table.add_row(row["rank"], *("" if value is None else f"{100 * value:.1f}%" for value in values))
        shown.append(table)
    if audit.judged is not None:
        judged = facts["judgments"]
        table = _table(
            f"judgments {judged['source']}: the half that nothing was chosen on, {judged['reported_pairs']:,} pairs",
            "evidence", "area under the curve", "average precision", "best percentage", "precision", "recall",
        )  # fmt: skip
        for by in audit.judged.detections.values():
            area = f"{by.auc.value:.3f} [dim]{by.auc.low:.3f}-{by.auc.high:.3f}[/]"
            rest = f"{by.average_precision:.3f}", f"{by.percent:.1f}%", f"{by.precision:.2f}", f"{by.recall:.2f}"
            table.add_row(by.name, area, *rest)
        shown += [table, *(f"[yellow]not used: {note}[/]" for note in audit.judged.notes)]
    return [*shown, *(f"[yellow]not used: {escape(note)}[/]" for note in audit.notes)]


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    return table
