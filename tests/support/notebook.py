"""What the package shows in notebooks, for its tests."""

import html.parser

MOST = 100_000  # bytes
EMPTY = {"input", "path"}


class Parsed(html.parser.HTMLParser):
    """Elements with their attributes, and the text of each class."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in EMPTY:
            self.open.append((tag, dict(attributes)))

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        opened, _ = self.open.pop()
        assert opened == tag, (opened, tag)

    def handle_data(self, data):
        self.texts.append((self.open[-1][0], data))

    def of(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def said(self):
        return " ".join(text for tag, text in self.texts if tag != "style")


def checked(case, of):
    """What an object shows, parsed; fails where it is large, broken, loads something or runs a script."""
    text = of._repr_html_()
    parsed = Parsed(text)
    case.assertLessEqual(len(text.encode()), MOST)
    case.assertNotRegex(text, r"https?:|//|<script|@import|url\(|\son\w+=")
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    case.assertEqual(len(ids), len(set(ids)))
    case.assertTrue({label["for"] for label in parsed.of("label")} <= set(ids))
    groups = {}
    for button in parsed.of("input"):
        case.assertEqual(button["type"], "radio")
        groups.setdefault(button["name"], []).append("checked" in button)
    case.assertTrue(all(checked[0] and sum(checked) == 1 for checked in groups.values()))
    return parsed
