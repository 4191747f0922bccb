"""A text to train small language models on, and its tokenizer."""

import random

from bilens_cli import DEVICE, TestCase, run

WORDS = "the a little big red dog cat bird sun ran sat saw was happy sad and then home tree ball".split()


def stories(count, seed=0):
    rng = random.Random(seed)
    lines = [" ".join(rng.choice(WORDS) for _ in range(rng.randint(5, 40))).capitalize() + "." for _ in range(count)]
    return "\n<|endoftext|>\n".join(lines)


class TextCase(TestCase):
    """Tests that share `text`, a file of stories, and `tokenizer`, the folder of a vocabulary made of it."""

    story_count, vocabulary_size = 400, 320

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.share_a_folder()
        cls.text = cls.case.write("stories.txt", stories(cls.story_count))
        cls.tokenizer = cls.case.folder / "tokenizer"
        cls.case.check(
            run(
                "tokenizer",
                "train",
                "--data",
                f"text:{cls.text}",
                "--vocabulary",
                cls.vocabulary_size,
                "--out",
                cls.tokenizer,
            ),
            0,
        )

    def tiny_config(self, data, **changes):
        """A config of a model of one layer, trained on these data in batches of 2; `changes` as in write_config."""
        config = {
            "model": {
                "type": "llama",
                "hidden_size": 8,
                "intermediate_size": 8,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "max_position_embeddings": 16,
            },
            "data": {"context": 16, **data},
            "train": {"batch_size": 2},
            "checkpoint": {},
            "device": DEVICE,
            "threads": 1,
        }
        return self.write_config(config, changes)
