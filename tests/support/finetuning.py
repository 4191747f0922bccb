"""A small SwiGLU model trained here, and what `bilens finetune` makes of it."""

import json

from bilens_cli import DEVICE, run
from texts import TextCase


class FinetuneCase(TextCase):
    story_count = 600

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        config = cls.case.write(
            "teacher.json",
            json.dumps(
                {
                    "model": {
                        "type": "llama",
                        "hidden_size": 16,
                        "intermediate_size": 24,
                        "num_hidden_layers": 2,
                        "num_attention_heads": 2,
                        "hidden_act": "silu",
                        "max_position_embeddings": 64,
                        "initializer_range": 0.2,
                    },
                    "data": {"dataset": "text", "path": str(cls.text), "tokenizer": str(cls.tokenizer), "context": 32},
                    "train": {"steps": 150, "batch_size": 16, "learning_rate": 1e-2},
                    "device": DEVICE,
                    "threads": 1,
                }
            ),
        )
        cls.case.check(run("train", config, "--out", cls.case.folder / "teacher"), 0)
        cls.teacher = cls.case.folder / "teacher/model"

    def config(self, **changes):
        config = {
            "teacher": str(self.teacher),
            "data": {"dataset": "text", "path": str(self.text), "context": 32},
            "stages": [{"kind": "calibrate", "tokens": 4000}, {"kind": "settle"}],
            "train": {"steps": 20, "batch_size": 8, "learning_rate": 1e-3, "loss": {"divergence": 1.0}},
            "checkpoint": {"every_steps": 5},
            "device": DEVICE,
            "threads": 1,
        }
        return self.write_config(config, changes)

    def finetune(self, out, *flags, **changes):
        """The account of a run."""
        result = self.check(run("finetune", self.config(**changes), "--out", self.folder / out, "--json", *flags), 0)
        return self.document(result)["results"][0], json.loads((self.folder / out / "finetune.json").read_text())
