#!/usr/bin/env bash
# Measures bilens beside what a user would write in Python, in one run: interleaved, the same threads, the median of
# five. Prints the ratios and writes them, with the machine, into docs/benchmarks.md.
#
# Usage: scripts/bench.sh NAME [--data DIR] [--rounds N]
#
#   train        training speed (width 256; width 512 with noise) and decomposition of the trained classifier
#   decompose    top eigenpairs of large and small layers, beside torch's eigh and SciPy's ARPACK; how cost grows
#   python       the Python package on matrices in memory, beside the program and the same peers
#   llama        training and sampling of Llama-type models, beside transformers
#   families     evaluation, generation and training of each family's decoder, beside transformers
#   tokenizers   text to token ids by a tokenizer.json, beside the Python package tokenizers
#   twins        small language models trained with either MLP: losses of three seeds (about a quarter of an hour)
#   finetune     stories260K made bilinear in several ways, at equal tokens, and the speed beside a loop in transformers
#                (hours, but no run on record is repeated; --help: arms, rates, seeds)
#   waiting      threads that wait asleep, beside threads that spin; alone and beside another process
#   processes    two processes with one thread each, beside one process with two
#   gpu          layers and models of TinyLlama's size on a GPU, beside PyTorch and transformers on it
#   --data PATH  train: full MNIST (default: data/mnist, else ../shared/data/mnist); twins, finetune: a text
#   --rounds N   measurements of each (default 5)

# shellcheck source=scripts/common.sh
source "$(dirname "$0")/common.sh"

usage_if_asked "$@"
[[ ${1:-} =~ ^(train|decompose|python|llama|families|tokenizers|twins|finetune|waiting|processes|gpu)$ ]] ||
  usage_error "which benchmark? train, decompose, python, llama, families, tokenizers, twins, finetune, waiting,
processes or gpu"
case $1 in
  python) scripts/setup.sh --python ;;
  tokenizers) scripts/setup.sh --bench --tests ;;
  *) scripts/setup.sh --bench ;;
esac
PATH=$PWD/.venv/bin:$PATH exec .venv/bin/python "scripts/bench_$1.py" "${@:2}"
