"""Random tiny Llamas with what transformers computes for them: tests/model/fixtures/llama/NAME/.

model.safetensors and config.json as transformers writes them; expected.safetensors: tokens, logits, loss (mean over the
next tokens of all rows), and the gradient of that loss for every parameter. Run with
torch==2.14.1 transformers==5.24.0 safetensors==0.8.0; old config spellings are written by hand over the new ones.
"""

import json
import pathlib

import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

ROOT = pathlib.Path(__file__).resolve().parent.parent / "tests/model/fixtures/llama"
BASE = dict(
    vocab_size=23,
    hidden_size=16,
    intermediate_size=20,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=4,
    max_position_embeddings=16,
    hidden_act="silu",
    initializer_range=0.3,
)
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8,
    "rope_theta": 50.0,
}
CASES = {  # name: keys; keys of config.json written in their old spelling
    "plain": ({}, {}),
    "bilinear": (dict(hidden_act="linear", num_key_value_heads=2, tie_word_embeddings=True), {}),
    "gelu_biases": (dict(hidden_act="gelu", attention_bias=True, mlp_bias=True, head_dim=6, num_key_value_heads=1), {}),
    "relu_linear": (
        dict(hidden_act="relu", rope_parameters={"rope_type": "linear", "factor": 2.5, "rope_theta": 500.0}),
        {"rope_theta": 500.0, "rope_scaling": {"type": "linear", "factor": 2.5}},
    ),
    "dynamic": (
        dict(max_position_embeddings=8, rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}),
        {},
    ),
    "llama3": (dict(rope_parameters=LLAMA3, rms_norm_eps=1e-2, num_hidden_layers=1), {}),
    "bfloat16": (dict(num_hidden_layers=1, eos_token_id=[2, 3]), {}),
}


def rewrite(path, old):
    config = json.loads(path.read_text())
    if old:
        del config["rope_parameters"]
        config |= old
        config["torch_dtype"] = config.pop("dtype")
    path.write_text(json.dumps(config, indent=2) + "\n")


def make(name, keys, old):
    torch.manual_seed(len(name))
    model = LlamaForCausalLM(LlamaConfig(**(BASE | keys)))
    for parameter in model.parameters():
        if parameter.dim() == 1:  # gains and biases that are not 1 and 0
            parameter.data += 0.3 * torch.randn_like(parameter)
    if name == "bfloat16":
        model.to(torch.bfloat16)
    folder = ROOT / name
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    rewrite(folder / "config.json", old)
    model = LlamaForCausalLM.from_pretrained(
        folder, dtype=torch.float32
    )  # casting would round the rotary frequencies too
    tokens = torch.randint(0, model.config.vocab_size, (2, 13))
    output = model(input_ids=tokens, labels=tokens)
    output.loss.backward()
    tensors = {"tokens": tokens, "logits": output.logits.detach().float(), "loss": output.loss.detach()}
    tensors |= {f"grad.{key}": value.grad for key, value in model.named_parameters()}
    save_file(tensors, folder / "expected.safetensors")


for case, (case_keys, case_old) in CASES.items():
    make(case, case_keys, case_old)
