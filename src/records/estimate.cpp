#include "bilens/records/estimate.h"

namespace bilens {

const RecordTable<ConversionMemory>& ConversionMemory::record() {
  using R = ConversionMemory;
  static const auto table =
      RecordTable<R>()
          .field("teacher", &R::teacher, "Bytes of the teacher, which is held beside all other parts.",
                 "bytes")
          .field("closed_form", &R::closed_form, "Bytes of the closed-form stage.", "bytes")
          .field("comparison", &R::comparison, "Bytes of the comparison with the teacher.", "bytes");
  return table;
}

const RecordTable<TrainingMemory>& TrainingMemory::record() {
  using R = TrainingMemory;
  static const auto table =
      RecordTable<R>()
          .field("weights", &R::weights, "Bytes of the weights.", "bytes")
          .field("gradients", &R::gradients, "Bytes of their gradients.", "bytes")
          .field("moments", &R::moments, "Bytes of the optimizer's moments.", "bytes")
          .field("activations", &R::activations, "Bytes of what the backward pass needs.", "bytes")
          .part(&R::conversion);
  return table;
}

const RecordTable<Estimate>& Estimate::record() {
  using R = Estimate;
  static const auto table =
      RecordTable<R>()
          .field("memory_bytes", &R::memory_bytes, "Main memory, the program's own included.", "bytes")
          .field("device_memory_bytes", &R::device_memory_bytes, "Memory of the GPU, where one computes.",
                 "bytes")
          .omitted()
          .field("memory", &R::memory, "Memory of a language model's training, by what it is for.")
          .omitted()
          .field("disk_bytes", &R::disk_bytes, "Disk space.", "bytes")
          .field("seconds", &R::seconds, "Time, from measured parts of the work; null where it is not known.",
                 "s");
  return table;
}

}  // namespace bilens
