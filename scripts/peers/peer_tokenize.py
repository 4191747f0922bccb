"""Seconds that the Python package tokenizers takes for each line of a file, one after the other on one thread, the
first time and once its words are known: peer_tokenize.py TOKENIZER.JSON TEXTS."""

import json
import os
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

from tokenizers import Tokenizer  # noqa: E402  (behind its environment)

tokenizer = Tokenizer.from_file(sys.argv[1])
lines = open(sys.argv[2], encoding="utf-8", newline="\n").read().split("\n")
seconds = []
for _ in range(2):
    begin = time.perf_counter()
    ids = [tokenizer.encode(line, add_special_tokens=False).ids for line in lines]
    seconds.append(time.perf_counter() - begin)
print(json.dumps({"seconds": seconds, "tokens": sum(map(len, ids))}))
