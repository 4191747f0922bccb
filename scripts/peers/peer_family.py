"""A family's model in transformers: makes one of random weights, evaluates it, generates with it, or trains it.
Arguments: make CLASS DIRECTORY KEYS | evaluate DIRECTORY TOKENS CONTEXT | generate DIRECTORY COUNT |
train CLASS KEYS BATCH SEQUENCE STEPS; KEYS is JSON, TOKENS a file of uint16"""

import json
import resource
import sys
import time

import numpy
import torch
import transformers

torch.set_num_threads(2)


def new_model(family, keys):
    torch.manual_seed(0)
    config = getattr(transformers, family + "Config")(**json.loads(keys))
    return getattr(transformers, family.removesuffix("Text") + "ForCausalLM")(config)


def load(folder):
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def make(family, folder, keys):
    new_model(family, keys).save_pretrained(folder)


def evaluate(folder, tokens, context):
    """Whole windows one after the other, as bilens reads them."""
    model, context = load(folder), int(context)
    ids = torch.from_numpy(numpy.fromfile(tokens, "<u2").astype("int64"))
    begin, total, count = time.perf_counter(), 0.0, 0
    with torch.no_grad():
        for window in ids.split(context):
            logits = model(input_ids=window[None]).logits[0, :-1]
            total += torch.nn.functional.cross_entropy(logits, window[1:], reduction="sum").item()
            count += len(window) - 1
    return {"loss": total / count, "tokens_per_second": count / (time.perf_counter() - begin)}


def generate(folder, count):
    model, prompt = load(folder), torch.tensor([[1]])

    def sample(new):
        mask = torch.ones_like(prompt)
        exact = {"max_new_tokens": new, "min_new_tokens": new, "pad_token_id": 0}
        model.generate(prompt, attention_mask=mask, do_sample=False, **exact)

    sample(8)
    begin = time.perf_counter()
    sample(int(count))
    return {"tokens_per_second": int(count) / (time.perf_counter() - begin)}


def train(family, keys, batch, sequence, steps):
    model = new_model(family, keys)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    tokens = torch.randint(0, model.config.vocab_size, (int(batch), int(sequence)))

    def step():
        model(input_ids=tokens, labels=tokens).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    step()
    begin = time.perf_counter()
    for _ in range(int(steps)):
        step()
    rate = tokens.numel() * int(steps) / (time.perf_counter() - begin)
    return {"tokens_per_second": rate, "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


what, *arguments = sys.argv[1:]
done = {"make": make, "evaluate": evaluate, "generate": generate, "train": train}[what](*arguments)
print(json.dumps(done))
