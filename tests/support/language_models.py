"""Llama-type models written by numpy alone, in Hugging Face's layout, without a tokenizer."""

import json

import numpy as np
from safetensors.numpy import save_file


def write_llama(folder, vocabulary=300, d=16, h=24, layers=3, act="linear", tied=False, bias=False, seed=0):
    """Random weights; the embedding's columns differ in scale and have a mean. Returns them in float64."""
    rng = np.random.default_rng(seed)
    draw = lambda *shape: (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)
    scales = np.geomspace(3, 0.3, d)
    tensors = {
        "model.embed_tokens.weight": (draw(vocabulary, d) * scales + 0.2).astype(np.float32),
        "model.norm.weight": (1 + draw(1, d)[0]).astype(np.float32),
    }
    if not tied:
        tensors["lm_head.weight"] = draw(vocabulary, d) + np.float32(0.1)
    for layer in range(layers):
        block = f"model.layers.{layer}."
        for name in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{block}{name}.weight"] = (1 + draw(1, d)[0]).astype(np.float32)
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            tensors[f"{block}self_attn.{name}.weight"] = draw(d, d)
        for name, shape in (("gate_proj", (h, d)), ("up_proj", (h, d)), ("down_proj", (d, h))):
            tensors[f"{block}mlp.{name}.weight"] = draw(*shape)
            if bias:
                tensors[f"{block}mlp.{name}.bias"] = draw(1, shape[0])[0]
    config = dict(
        model_type="llama",
        vocab_size=vocabulary,
        hidden_size=d,
        intermediate_size=h,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=2,
        hidden_act=act,
        rms_norm_eps=1e-5,
        mlp_bias=bias,
        max_position_embeddings=64,
        tie_word_embeddings=tied,
    )
    folder.mkdir(parents=True)
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    return {name: tensor.astype(np.float64) for name, tensor in tensors.items()}


def embedding(w):
    """Token rows without their mean."""
    rows = w["model.embed_tokens.weight"]
    return rows - rows.mean(0)


def unembedding(w, centred=True):
    """The head's rows with the last norm's gain folded in."""
    rows = w.get("lm_head.weight", w["model.embed_tokens.weight"]) * w["model.norm.weight"]
    return rows - rows.mean(0) if centred else rows


def folded(w, layer, name):
    """A projection of an MLP with the norm's gain in it."""
    block = f"model.layers.{layer}."
    return w[f"{block}mlp.{name}.weight"] * w[block + "post_attention_layernorm.weight"]


def interaction_matrix(w, layer, u, half=False):
    """Q of u·MLP(x) = xᵀQx + ..., x the normed input before the norm's gain."""
    gate, up = folded(w, layer, "gate_proj"), folded(w, layer, "up_proj")
    block = f"model.layers.{layer}."
    q = gate.T @ np.diag(u @ w[block + "mlp.down_proj.weight"]) @ up
    return (q + q.T) / 2 * (0.5 if half else 1)


def forward(w, tokens, layers=3, heads=2, epsilon=1e-5, act="linear", change=lambda layer, x, y: y):
    """The Llama decoder in float64 on one sequence: logits [tokens, vocabulary], and for each layer what its attention
    adds, its MLP's input before the norm's gain, and what its MLP adds. `change` may replace the last."""
    normed = lambda h: h / np.sqrt((h * h).mean(-1, keepdims=True) + epsilon)
    h = w["model.embed_tokens.weight"][tokens]
    n, d = h.shape
    width = d // heads
    angles = np.arange(n)[:, None] / 10000 ** (2 * np.arange(width // 2) / width)
    cosine, sine = np.cos(angles)[:, None], np.sin(angles)[:, None]

    def turned(z):
        a, b = np.split(z.reshape(n, heads, width), 2, -1)
        return np.concatenate([a * cosine - b * sine, b * cosine + a * sine], -1)

    parts = []
    for layer in range(layers):
        block = f"model.layers.{layer}."
        x = normed(h) * w[block + "input_layernorm.weight"]
        q, k, v = (x @ w[f"{block}self_attn.{name}_proj.weight"].T for name in "qkv")
        scores = np.einsum("ihc,jhc->hij", turned(q), turned(k)) / np.sqrt(width)
        scores = np.where(np.tril(np.ones((n, n), bool)), scores, -np.inf)
        p = np.exp(scores - scores.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        attention = (
            np.einsum("hij,jhc->ihc", p, v.reshape(n, heads, width)).reshape(n, d)
            @ w[block + "self_attn.o_proj.weight"].T
        )
        h = h + attention
        x = normed(h)
        inner = x * w[block + "post_attention_layernorm.weight"]
        factor = lambda name: inner @ w[f"{block}mlp.{name}.weight"].T + w.get(f"{block}mlp.{name}.bias", 0)
        gate = factor("gate_proj")
        gate = gate / (1 + np.exp(-gate)) if act == "silu" else gate
        y = (gate * factor("up_proj")) @ w[block + "mlp.down_proj.weight"].T + w.get(block + "mlp.down_proj.bias", 0)
        y = change(layer, x, y)
        parts.append((attention, x, y))
        h = h + y
    head = w.get("lm_head.weight", w["model.embed_tokens.weight"])
    return (normed(h) * w["model.norm.weight"]) @ head.T, parts, h
