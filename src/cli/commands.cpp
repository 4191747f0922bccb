#include "commands.h"

#include "bilens/core/version.h"

namespace bilens {

namespace {
constexpr size_t kMany = 1'000'000;
}  // namespace

const std::vector<CommandInfo>& commands() {
  static const std::vector<CommandInfo> table = {
      {"train",
       "[CONFIG.json]",
       "Train an image classifier or a language model",
       "bilens train configs/mnist.json --set train.epochs=5",
       {"out", "resume"},
       0,
       1,
       true},
      {"finetune",
       "CONFIG.json",
       "Make a pretrained gated model bilinear",
       "bilens finetune configs/finetune-stories260k.json",
       {"out", "resume"},
       0,
       1,
       true},
      {"evaluate",
       "MODEL...",
       "Loss and accuracy on images, or loss and perplexity on text",
       "bilens evaluate runs/mnist/model --data mnist:data/mnist",
       {"data", "context", "tokenizer"},
       1,
       kMany},
      {"generate",
       "MODEL",
       "Continue a prompt",
       "bilens generate models/stories260k --prompt 'Once upon a time' --temperature 0",
       {"prompt", "max-tokens", "temperature", "top-k", "top-p", "tokenizer"},
       1,
       1},
      {"convert",
       "IN OUT",
       "Write a checkpoint as a model directory (a language model's loads in transformers)",
       "bilens convert stories260K.bin models/stories260k --tokenizer tok512.model",
       {"tokenizer", "gate"},
       2,
       2},
      {"decompose",
       "MODEL...",
       "Eigenvectors and other factors of every layer",
       "bilens decompose runs/mnist/model --set k=20",
       {"config", "gate", "minus", "data", "out", "resume", "overwrite"},
       1,
       kMany,
       true},
      {"intervene",
       "DECOMPOSITION",
       "What a language model loses without an eigenvector's contribution, beside controls",
       "bilens intervene runs/stories/model/decomposition --set layer=4 --set eigenvectors=[0]",
       {"config", "data"},
       1,
       1,
       true},
      {"explain",
       "MODEL",
       "Logits of an image, or behind a prompt, as a sum over eigenvectors",
       "bilens explain runs/mnist/model --input test:7 --out why\n"
       "  bilens explain models/stories260k --prompt 'Lily said that' --logit she --minus he",
       {"input", "data", "prompt", "logit", "minus", "surrogate", "tokenizer", "out"},
       1,
       1},
      {"attack",
       "MODEL",
       "The smallest change of each image that gives another class, proved, and what masks do",
       "bilens attack runs/mnist/model --out runs/mnist/attack",
       {"config", "data", "out"},
       1,
       1,
       true},
      {"compare",
       "MODEL MODEL...",
       "How alike image classifiers of one layer are: weights, data, outputs",
       "bilens compare runs/seed1/model runs/seed2/model",
       {"data"},
       2,
       kMany},
      {"check",
       "MODEL",
       "Whether a language model computes here what transformers computes",
       "bilens check models/stories260k",
       {"python", "reference", "data", "context", "tokenizer", "out"},
       1,
       1},
      {"report",
       "DIR...",
       "One HTML page about runs and decompositions",
       "bilens report runs/mnist",
       {"out"},
       1,
       kMany},
      {"inspect", "FILE|DIR", "Names, shapes, dtypes and sizes", "bilens inspect runs/mnist/model", {}, 1, 1},
      {"tokenizer",
       "train",
       "Train a vocabulary on a text",
       "bilens tokenizer train --data text:stories.txt --vocabulary 4096 --out runs/tokenizer",
       {"data", "vocabulary", "kind", "out"},
       1,
       1,
       false,
       {"train"}},
      {"schema",
       "COMMAND|files",
       "JSON Schema of a command's config, or what is in the files that are written",
       "bilens schema train\n  bilens schema files",
       {},
       1,
       1,
       false,
       {"train", "finetune", "decompose", "intervene", "attack", "files"}},
      {"completion",
       "bash|zsh|fish",
       "Completion of commands, flags and config keys for a shell",
       "source <(bilens completion bash)",
       {},
       1,
       1,
       false,
       {"bash", "zsh", "fish"}},
  };
  return table;
}

std::string program_help() {
  std::string text =
      std::string("bilens ") + version() + ": bilinear MLPs from training to understanding\n\nUsage:\n";
  for (const auto& command : commands()) {
    const std::string call = "  bilens " + command.name + " " + command.synopsis;
    text += call + std::string(call.size() < 36 ? 36 - call.size() : 1, ' ') + command.description + "\n";
  }
  return text +
         "\n`bilens COMMAND --help` lists a command's flags, `bilens schema COMMAND` its config keys.\n";
}

}  // namespace bilens
