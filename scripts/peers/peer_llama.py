"""A Llama's training steps in transformers and eager PyTorch, with AdamW fused: tokens/s and peak memory.
Arguments: dim layers heads kv_heads hidden vocabulary batch sequence steps"""

import json
import resource
import sys
import time

import torch
from transformers import LlamaConfig, LlamaForCausalLM

dim, layers, heads, kv_heads, hidden, vocabulary, batch, sequence, steps = map(int, sys.argv[1:10])
torch.set_num_threads(2)
torch.manual_seed(0)
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
)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
tokens = torch.randint(0, vocabulary, (batch, sequence))


def step():
    model(input_ids=tokens, labels=tokens).loss.backward()
    optimizer.step()
    optimizer.zero_grad()


step()
begin = time.perf_counter()
for _ in range(steps):
    step()
seconds = time.perf_counter() - begin
print(
    json.dumps(
        {
            "tokens_per_second": batch * sequence * steps / seconds,
            "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }
    )
)
