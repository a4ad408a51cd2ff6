"""A page as a strict reader takes it: elements in a tree, with what they say."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "link", "wbr"}


class Node:
    def __init__(self, name, attributes, parent=None):
        self.name, self.at, self.parent = name, attributes, parent
        self.children = []

    @property
    def text(self):
        return "".join(c if isinstance(c, str) else c.text for c in self.children)

    def all(self, name=None, class_=None):
        for child in self.children:
            if isinstance(child, str):
                continue
            if name in (None, child.name) and (class_ is None or class_ in (child.at.get("class") or "").split()):
                yield child
            yield from child.all(name, class_)

    def first(self, name=None, class_=None):
        return next(self.all(name, class_))


class _Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.root = self.here = Node("", {})

    def handle_starttag(self, tag, attributes):
        assert len({name for name, _ in attributes}) == len(attributes), f"an attribute twice in {tag}"
        node = Node(tag, dict(attributes), self.here)
        self.here.children.append(node)
        if tag not in VOID:
            self.here = node

    def handle_startendtag(self, tag, attributes):
        assert tag in VOID
        self.handle_starttag(tag, attributes)

    def handle_endtag(self, tag):
        assert tag == self.here.name, f"</{tag}> closes <{self.here.name}>"
        self.here = self.here.parent

    def handle_data(self, data):
        self.here.children.append(data)


def read_page(page):
    """The root of the page; every element is closed where it must be."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert reader.here is reader.root, f"<{reader.here.name}> is never closed"
    return reader.root
