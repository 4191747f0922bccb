"""Fine-tuning a gated model made bilinear beside its teacher: transformers, eager, fused AdamW, half cross-entropy and
half KL.

args: MODEL_DIRECTORY batch sequence steps
"""

import json
import sys
import time

import torch
from torch.nn.functional import cross_entropy, kl_div
from transformers import LlamaForCausalLM

torch.set_num_threads(2)
model, (B, S, steps) = sys.argv[1], map(int, sys.argv[2:5])
teacher = LlamaForCausalLM.from_pretrained(model).eval()
student = LlamaForCausalLM.from_pretrained(model).train()


class Half(torch.nn.Module):
    def forward(self, z):
        return z / 2


for layer in student.model.layers:
    layer.mlp.act_fn = Half()
opt = torch.optim.AdamW(student.parameters(), lr=1e-3, fused=True)


def step(ids):
    opt.zero_grad(set_to_none=True)
    with torch.no_grad():
        taught = teacher(input_ids=ids).logits[:, :-1].flatten(0, 1).log_softmax(-1)
    logits = student(input_ids=ids).logits[:, :-1].flatten(0, 1)
    loss = 0.5 * cross_entropy(logits, ids[:, 1:].flatten()) + 0.5 * kl_div(
        logits.log_softmax(-1), taught, log_target=True, reduction="batchmean"
    )
    loss.backward()
    torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
    opt.step()
    return loss.item()


ids = torch.randint(0, teacher.config.vocab_size, (B, S))
step(ids)
t = time.perf_counter()
for _ in range(steps):
    step(ids)
print(json.dumps(dict(tokens_per_second=B * S * steps / (time.perf_counter() - t))))
