"""Loss of a Hugging Face language model on a text, as a straightforward transformers script does it: BOS before each
story, consecutive windows, tokens 2..n of each predicted. args: model text context"""

import gzip
import json
import sys

import sentencepiece
import torch
from transformers import AutoModelForCausalLM

model_path, text_path, context = sys.argv[1], sys.argv[2], int(sys.argv[3])
model = AutoModelForCausalLM.from_pretrained(model_path, dtype=torch.float32).eval()
tokenizer = sentencepiece.SentencePieceProcessor(model_file=model_path + "/tokenizer.model")
text = (gzip.open if text_path.endswith(".gz") else open)(text_path, "rt", encoding="utf-8").read()
stories = [story.strip() for story in text.split("<|endoftext|>")]
ids = [token for story in stories if story for token in [tokenizer.bos_id(), *tokenizer.encode(story)]]
total, count = 0.0, 0
with torch.no_grad():
    for begin in range(0, len(ids), context):
        window = torch.tensor([ids[begin : begin + context]])
        if window.shape[1] < 2:
            continue
        logits = model(input_ids=window).logits[0, :-1]
        total += torch.nn.functional.cross_entropy(logits.double(), window[0, 1:], reduction="sum").item()
        count += window.shape[1] - 1
print(json.dumps(dict(tokens=count, loss=total / count)))
