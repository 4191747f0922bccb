"""Writes a Llama-type model of TinyLlama's size (1.1 billion parameters, bfloat16) with random weights, for tests of
memory and speed that need no download.

Usage: .venv/bin/python scripts/make_random_llama.py OUT [--layers 22] [--act silu]
"""

import argparse
import json
import math
import pathlib
import struct

import numpy as np


def config_of(options):
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": 32000,
        "hidden_size": 2048,
        "intermediate_size": 5632,
        "num_hidden_layers": options.layers,
        "num_attention_heads": 32,
        "num_key_value_heads": 4,
        "hidden_act": options.act,
        "rms_norm_eps": 1e-5,
        "max_position_embeddings": 2048,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "bos_token_id": 1,
        "eos_token_id": 2,
    }


def shapes_of(config):
    d, h, v = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    kv = d // config["num_attention_heads"] * config["num_key_value_heads"]
    layer = {
        "input_layernorm": (d,),
        "mlp.down_proj": (d, h),
        "mlp.gate_proj": (h, d),
        "mlp.up_proj": (h, d),
        "post_attention_layernorm": (d,),
        "self_attn.k_proj": (kv, d),
        "self_attn.o_proj": (d, d),
        "self_attn.q_proj": (d, d),
        "self_attn.v_proj": (kv, d),
    }
    shapes = {"lm_head.weight": (v, d), "model.embed_tokens.weight": (v, d), "model.norm.weight": (d,)}
    for number in range(config["num_hidden_layers"]):
        shapes.update({f"model.layers.{number}.{name}.weight": shape for name, shape in layer.items()})
    return dict(sorted(shapes.items()))


def bfloat16(rng, shape):
    """The upper halves of float32: ones for a gain, else normal numbers of variance 1 / inputs."""
    values = (
        np.ones(shape, np.float32) if len(shape) == 1 else rng.standard_normal(shape, np.float32) / math.sqrt(shape[1])
    )
    return (values.view(np.uint32) >> 16).astype("<u2")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--layers", type=int, default=22)
    parser.add_argument("--act", default="silu")
    options = parser.parse_args()
    config = config_of(options)
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in shapes_of(config).items():
        begin, end = end, end + 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    options.out.mkdir(parents=True)
    (options.out / "config.json").write_text(json.dumps(config, indent=2))
    rng = np.random.default_rng(0)
    with open(options.out / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for shape in shapes_of(config).values():
            file.write(bfloat16(rng, shape).tobytes())


if __name__ == "__main__":
    main()
