"""What `bilens schema` says of a key stands by itself: people read it without the row or the key above."""

import re

from bilens_cli import TestCase, run

TELLS = ("meaning", "description")


def meanings(value, where):
    """All that a document says of keys and tensors, each with its place."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inside in items:
        if key in TELLS and isinstance(inside, str):
            yield where, inside
        else:
            name = inside.get("name", inside.get("file", key)) if isinstance(inside, dict) else key
            yield from meanings(inside, f"{where}: {name}")


class Meanings(TestCase):
    def documents(self):
        """What the program writes, and the config of each command that has one."""
        yield "files", self.document(self.check(run("schema", "files"), 0))
        overview = self.check(run("--help"), 0).stdout
        for command in sorted(set(re.findall(r"^  bilens (\w+)", overview, re.MULTILINE))):
            found = run("schema", command)
            if found.returncode == 0:
                yield command, self.document(found)

    def test_none_leans_on_what_stands_before_it(self):
        told = [each for command, document in self.documents() for each in meanings(document, command)]
        self.assertGreater(len(told), 500)
        self.assertEqual([each for each in told if re.match(r"of\b", each[1], re.IGNORECASE)], [])

    def test_such_a_meaning_is_found(self):
        document = {"files": [{"file": "a.json", "keys": [{"name": "seed", "meaning": "Of all draws."}]}]}
        self.assertEqual(list(meanings(document, "files")), [("files: files: a.json: keys: seed", "Of all draws.")])
