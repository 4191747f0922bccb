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
          .field("threads", &R::threads, "CPU threads.", "threads")
          .field("processor_quota", &R::processor_quota,
                 "Processors' worth of time that its control group allows; not there without a quota.",
                 "processors")
          .omitted()
          .field(
              "waiting", &R::waiting,
              "How its threads wait for each other, as OMP_WAIT_POLICY says: `passive` is asleep; not there "
              "where it says nothing.")
          .omitted()
          .field("processes", &R::processes, "Processes that train together; not there for one.", "processes")
          .omitted();
  return table;
}

}  // namespace bilens
