"""Small random Llamas of transformers, and a tokenizer that is called as theirs are."""

import unittest

import torch

try:
    from transformers import LlamaConfig, LlamaForCausalLM
except ImportError as error:
    raise unittest.SkipTest(f"no transformers: {error}") from error


def llama(act="linear", vocabulary=50, width=16, layers=2, seed=0, **options):
    """A model whose norms have gains, and whose biases, where there are any, are not 0."""
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=24,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=1,
        hidden_act=act,
        max_position_embeddings=32,
        initializer_range=0.3,
        **{"tie_word_embeddings": False, **options},
    )
    torch.manual_seed(seed)
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("norm.weight"):
                parameter.uniform_(0.5, 1.5)
            elif name.endswith("bias"):
                parameter.normal_(0, 0.3)
    return model


class Words:
    """A tokenizer of letters and some words; its texts begin with a BOS of id 0."""

    def __init__(self, count=50):
        self.pieces = ["<s>", *"abcdefgh", "Ġshe", "Ġhe"]
        self.pieces += [f"w{number}" for number in range(count - len(self.pieces))]

    def __len__(self):
        return len(self.pieces)

    def convert_ids_to_tokens(self, ids):
        return [self.pieces[number] for number in ids]

    def get_vocab(self):
        return {piece: number for number, piece in enumerate(self.pieces)}

    def encode(self, text, add_special_tokens=True):
        word = text.replace(" ", "Ġ")
        pieces = [word] if word in self.pieces else list(word)
        return [0] * add_special_tokens + [self.pieces.index(piece) for piece in pieces]
