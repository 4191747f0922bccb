"""Greedy sampling with transformers' generate: tokens/s. Arguments: MODEL_DIRECTORY new_tokens"""

import json
import sys
import time

import torch
from transformers import LlamaForCausalLM

torch.set_num_threads(2)
model = LlamaForCausalLM.from_pretrained(sys.argv[1]).eval()
count = int(sys.argv[2])


def sample(new):
    prompt = torch.tensor([[1]])
    return (
        model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=new,
            min_new_tokens=new,
            do_sample=False,
            pad_token_id=0,
        ).shape[1]
        - 1
    )


sample(8)
begin = time.perf_counter()
made = sample(count)
print(json.dumps({"tokens_per_second": made / (time.perf_counter() - begin)}))
