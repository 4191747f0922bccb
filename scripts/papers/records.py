"""What finished runs found, a line of JSON each, in docs/papers/ROW.jsonl."""

import json
import threading

from papers.runs import ROOT

FOLDER = ROOT / "docs/papers"


class Records:
    """The runs on record of one row."""

    def __init__(self, row):
        self.path = FOLDER / f"{row}.jsonl"
        self.lock = threading.Lock()
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        self.found = [json.loads(line) for line in lines]

    def of(self, setting, seed, config):
        """What a run found; None where it is not on record, or was of another config."""
        for record in self.found:
            if (record["setting"], record["seed"], record["config"]) == (setting, seed, config):
                return record
        return None

    def add(self, record):
        """Keeps a run, in the place of one of the same setting and seed."""
        with self.lock:
            same = (record["setting"], record["seed"])
            self.found = [other for other in self.found if (other["setting"], other["seed"]) != same] + [record]
            self.path.parent.mkdir(parents=True, exist_ok=True)
            whole = self.path.with_suffix(".part")
            whole.write_text("".join(json.dumps(one) + "\n" for one in self.found))
            whole.replace(self.path)
