"""Small random models of LitGPT, and their forward pass in PyTorch, in float64."""

import torch

CONFIG = {
    "name": "small",
    "hf_config": {"name": "small", "org": "nobody"},
    "block_size": 64,
    "n_layer": 2,
    "n_embd": 24,
    "n_head": 6,
    "n_query_groups": 2,
    "head_size": 4,
    "vocab_size": 37,
    "padded_vocab_size": 40,
    "padding_multiple": 8,
    "intermediate_size": 20,
    "norm_class_name": "RMSNorm",
    "norm_eps": 1e-05,
    "mlp_class_name": "LLaMAMLP",
    "parallel_residual": False,
    "bias": False,
    "rotary_percentage": 1.0,
    "rope_base": 10000,
    "rope_condense_ratio": 1,
    "rope_adjustments": None,
    "sliding_window_size": None,
    "n_expert": 0,
}


def yaml_of(config):
    """As PyYAML's dump writes it: sorted, one value a line."""

    def word(value):
        if isinstance(value, float) and 0 < value < 1e-3:
            return f"{value:.1e}"
        return {"None": "null", "True": "true", "False": "false"}.get(str(value), str(value))

    lines = []
    for key, value in sorted(config.items()):
        if isinstance(value, dict):
            lines += [f"{key}:"] + [f"  {name}: {word(inner)}" for name, inner in sorted(value.items())]
        elif isinstance(value, list):
            lines += [f"{key}:"] + [f"- {inner}" for inner in value]
        else:
            lines.append(f"{key}: {word(value)}")
    return "\n".join(lines) + "\n"


def lit_weights(config, seed=0):
    """Rows of q, k and v one above the other, as of today."""
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=generator) / shape[-1] ** 0.5
    d, h, size = config["n_embd"], config["intermediate_size"], config["head_size"]
    q, rows = config["n_head"] * size, (config["n_head"] + 2 * config["n_query_groups"]) * size
    w = {"transformer.wte.weight": draw(40, d) * 3, "lm_head.weight": draw(40, d) * 2}
    w["transformer.ln_f.weight"] = 1 + draw(1, d)[0]
    for layer in range(config["n_layer"]):
        at = f"transformer.h.{layer}."
        shapes = {
            "attn.qkv": (rows, d),
            "attn.proj": (d, q),
            "mlp.fc_1": (h, d),
            "mlp.fc_2": (h, d),
            "mlp.proj": (d, h),
        }
        for name, shape in shapes.items():
            w[f"{at}{name}.weight"] = draw(*shape) * 2
            if config["bias"] or (name == "attn.qkv" and config.get("attn_bias")):
                w[f"{at}{name}.bias"] = draw(1, shape[0])[0]
        for name, width in (("norm_1", d), ("norm_2", d), ("attn.norm_q", size), ("attn.norm_k", size)):
            if "attn" not in name or config.get("norm_qk"):
                w[f"{at}{name}.weight"] = 1 + draw(1, width)[0]
    return w


def interleaved(w, config):
    """Under the names and in the order of LitGPT's first versions: group by group, its queries, key and value."""
    size, groups, heads = config["head_size"], config["n_query_groups"], config["n_head"]
    result = {}
    for name, tensor in w.items():
        if ".attn.qkv." in name:
            q, k, v = tensor.split((heads * size, groups * size, groups * size))
            parts = zip(q.chunk(groups), k.chunk(groups), v.chunk(groups))
            tensor = torch.cat([torch.cat(part) for part in parts])
        result[name.replace(".attn.qkv.", ".attn.attn.")] = tensor
    return result


def lit_logits(w, tokens, config):
    """[tokens, padded vocabulary]"""
    w = {name: tensor.double() for name, tensor in w.items()}
    size, heads, groups = config["head_size"], config["n_head"], config["n_query_groups"]
    norm = lambda x, gain: x * torch.rsqrt((x * x).mean(-1, keepdim=True) + config["norm_eps"]) * gain
    theta = float(config["rope_base"]) ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)
    angles = config["rope_adjustments"]
    if angles:
        ratio = angles["original_max_seq_len"] * theta / (2 * torch.pi)
        smooth = (ratio - angles["low_freq_factor"]) / (angles["high_freq_factor"] - angles["low_freq_factor"])
        theta = (1 - smooth.clamp(0, 1)) * theta / angles["factor"] + smooth.clamp(0, 1) * theta
    count = len(tokens)
    turn = torch.outer(torch.arange(count, dtype=torch.float64) / config["rope_condense_ratio"], theta).repeat(1, 2)
    turned = lambda x: x * turn.cos() + torch.cat((-x[..., size // 2 :], x[..., : size // 2]), -1) * turn.sin()
    linear = lambda x, name: x @ w[name + ".weight"].T + w.get(name + ".bias", 0)
    apart = torch.arange(count)[:, None] - torch.arange(count)
    hidden = (apart < 0) | (apart >= (config["sliding_window_size"] or count))
    x = w["transformer.wte.weight"][torch.tensor(tokens)]
    for layer in range(config["n_layer"]):
        at = f"transformer.h.{layer}."
        qkv = linear(norm(x, w[at + "norm_1.weight"]), at + "attn.qkv")
        q, k, v = (
            part.reshape(count, -1, size).transpose(0, 1)
            for part in qkv.split((heads * size, groups * size, groups * size), -1)
        )
        if config.get("norm_qk"):
            q, k = norm(q, w[at + "attn.norm_q.weight"]), norm(k, w[at + "attn.norm_k.weight"])
        q, k = turned(q), turned(k)
        k, v = (part.repeat_interleave(heads // groups, 0) for part in (k, v))
        scores = (q @ k.transpose(1, 2) / size**0.5).masked_fill(hidden, -torch.inf)
        x = x + linear((scores.softmax(-1) @ v).transpose(0, 1).reshape(count, -1), at + "attn.proj")
        y = norm(x, w[at + "norm_2.weight"])
        x = x + linear(
            torch.nn.functional.silu(linear(y, at + "mlp.fc_1")) * linear(y, at + "mlp.fc_2"), at + "mlp.proj"
        )
    return norm(x, w["transformer.ln_f.weight"]) @ w["lm_head.weight"].T
