"""What a user would write on a GPU with PyTorch and transformers. Arguments:
eigh D H DIRECTIONS K             form the matrices of random directions, torch.linalg.eigh: seconds a direction
train SHAPE... STEPS              a Llama in bfloat16, AdamW fused, as peer_family.py: tokens/s, peak memory of the GPU
finetune MODEL BATCH SEQUENCE STEPS
                                  its MLPs with the gate swapped, beside the teacher: half cross-entropy, half KL,
                                  layers recomputed
"""

import json
import sys
import time

import torch

DEVICE = "cuda"


def eigh(d, h, n, k):
    generator = torch.Generator().manual_seed(0)
    w, v, s = (
        (torch.randn(rows, columns, generator=generator) / columns**0.5).to(DEVICE)
        for rows, columns in ((h, d), (h, d), (n, h))
    )

    def solve(u):
        q = (w.T * u) @ v
        values, vectors = torch.linalg.eigh((q + q.T) / 2)
        order = values.abs().topk(k).indices
        return values[order].cpu(), vectors[:, order].cpu()

    solve(s[0])
    begin = time.perf_counter()
    for u in s:
        solve(u)
    return {"seconds": (time.perf_counter() - begin) / n}


def rate(step, tokens, steps):
    for _ in range(3):
        step()
    torch.cuda.synchronize()
    begin = time.perf_counter()
    for _ in range(steps):
        step()
    torch.cuda.synchronize()
    return {
        "tokens_per_second": tokens * steps / (time.perf_counter() - begin),
        "peak_memory_bytes": torch.cuda.max_memory_allocated(),
    }


def train(dim, layers, heads, kv_heads, hidden, vocabulary, batch, sequence, steps):
    from transformers import LlamaConfig, LlamaForCausalLM

    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=dim,
            intermediate_size=hidden,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=kv_heads,
            max_position_embeddings=sequence,
            hidden_act="linear",
            attn_implementation="sdpa",
        )
    ).to(DEVICE)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    tokens = torch.randint(0, vocabulary, (batch, sequence), device=DEVICE)

    def step():
        with torch.autocast(DEVICE, torch.bfloat16):
            loss = model(input_ids=tokens, labels=tokens).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return rate(step, batch * sequence, steps)


def finetune(folder, batch, sequence, steps):
    from torch.nn.functional import cross_entropy, kl_div
    from transformers import LlamaForCausalLM

    teacher = LlamaForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).to(DEVICE).eval()
    student = LlamaForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).to(DEVICE).train()
    student.requires_grad_(False)
    for layer in student.model.layers:
        layer.mlp.float().requires_grad_(True)
        layer.mlp.act_fn = Half()
    student.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    trained = [p for p in student.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=True)
    ids = torch.randint(0, teacher.config.vocab_size, (batch, sequence), device=DEVICE)

    def step():
        with torch.autocast(DEVICE, torch.bfloat16):
            with torch.no_grad():
                taught = teacher(input_ids=ids).logits[:, :-1].flatten(0, 1).float().log_softmax(-1)
            logits = student(input_ids=ids).logits[:, :-1].flatten(0, 1).float()
        loss = 0.5 * cross_entropy(logits, ids[:, 1:].flatten()) + 0.5 * kl_div(
            logits.log_softmax(-1), taught, log_target=True, reduction="batchmean"
        )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return rate(step, batch * sequence, steps)


class Half(torch.nn.Module):
    def forward(self, z):
        return z / 2


command, arguments = sys.argv[1], sys.argv[2:]
if command == "finetune":
    print(json.dumps(finetune(arguments[0], *map(int, arguments[1:]))))
else:
    print(json.dumps({"eigh": eigh, "train": train}[command](*map(int, arguments))))
