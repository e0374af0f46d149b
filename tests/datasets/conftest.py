"""What the tests of the importers share."""

from contextlib import contextmanager

import pytest


class Kept:
    """Stands for a collection and its writer, and keeps what it is given: writing 10,000s of items takes long."""

    def __init__(self):
        self.items, self.captions, self.splits, self.judged = {}, {}, {}, {}
        self.apart, self.named = {}, {}

    def failures(self):
        return []

    @contextmanager
    def writing(self):
        yield self

    def put_item(self, item, shots):
        assert item.key not in self.items
        self.items[item.key] = (item, shots)

    def put_captions(self, item, texts, *, named_only):
        self.captions[item] = texts
        if named_only:
            self.apart[item] = named_only

    def put_split(self, parts, *, scheme, captions):
        self.splits[scheme] = parts
        if captions:
            self.named[scheme] = captions

    def put_judgments(self, source, judgments, *, complete):
        self.judged[source] = judgments


@pytest.fixture
def kept():
    return Kept()
