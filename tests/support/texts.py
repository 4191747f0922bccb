"""A text to train small language models on."""

import random

WORDS = "the a little big red dog cat bird sun ran sat saw was happy sad and then home tree ball".split()


def stories(count, seed=0):
    rng = random.Random(seed)
    lines = [" ".join(rng.choice(WORDS) for _ in range(rng.randint(5, 40))).capitalize() + "." for _ in range(count)]
    return "\n<|endoftext|>\n".join(lines)
