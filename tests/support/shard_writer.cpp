/// shard_writer IN OUT BYTES: the tensors of IN as shards of at most BYTES in the folder OUT. The program
/// itself shards above 5 GB alone, too much for a test.
#include <ATen/core/Tensor.h>

#include <iostream>
#include <string>

#include "bilens/io/sharded_safetensors.h"
#include "bilens/io/weights.h"

int main(int argc, char** argv) try {
  if (argc != 4) return 2;
  const bilens::Weights weights(argv[1]);
  bilens::NamedTensors tensors;
  for (const auto& [name, info] : weights.tensors()) tensors.emplace_back(name, weights.tensor(name));
  bilens::write_sharded_safetensors(argv[2], tensors, {}, std::stoll(argv[3]));
  return 0;
} catch (const std::exception& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
