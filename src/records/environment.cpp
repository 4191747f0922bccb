#include "bilens/records/environment.h"

namespace bilens {

const RecordTable<Environment>& Environment::record() {
  using R = Environment;
  static const auto table =
      RecordTable<R>()
          .field("version", &R::version, "Version of bilens.")
          .field("compiler", &R::compiler, "The compiler that built it.")
          .field("build", &R::build, "Type of the build.")
          .field("libtorch", &R::libtorch, "Version of LibTorch.")
          .field("cuda", &R::cuda, "Version of the CUDA toolkit; null for a build without CUDA.")
          .field("device", &R::device, "Where the run computed; a GPU by its name.")
          .field("threads", &R::threads, "CPU threads.", "threads");
  return table;
}

}  // namespace bilens
