#include "bilens/data/token_stream.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace bilens {

namespace {

template <class Id>
void copy_row(const TokenStream& stream, int64_t begin, int64_t length, int64_t* inputs, int64_t* targets) {
  const Id* ids = stream.ids.const_data_ptr<Id>() + begin;
  std::copy_n(ids, length, inputs);
  std::copy_n(ids + 1, length, targets);
}

void mark_documents(const std::vector<int64_t>& starts, int64_t begin, int64_t length, int64_t* marks) {
  auto next = std::upper_bound(starts.begin(), starts.end(), begin);
  for (int64_t i = 0, start = 0; i < length; ++i) {
    if (next != starts.end() && *next == begin + i) start = i, ++next;
    marks[i] = start;
  }
}

}  // namespace

TokenStream first_tokens(const TokenStream& stream, int64_t count) {
  if (stream.size() <= count) return stream;
  const auto end = std::lower_bound(stream.starts.begin(), stream.starts.end(), count);
  return {stream.ids.narrow(0, 0, count), {stream.starts.begin(), end}};
}

at::ScalarType id_type(int64_t vocabulary) { return vocabulary <= 65536 ? at::kUInt16 : at::kInt; }

TokenBatch make_batch(const TokenStream& stream, const std::vector<int64_t>& begins, int64_t window) {
  const auto rows = static_cast<int64_t>(begins.size());
  const int64_t length = window - 1;
  const auto empty = [&] { return at::empty({rows, length}, at::kLong); };
  TokenBatch batch{empty(), empty(), empty(), begins};
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t begin = begins[row], offset = row * length;
    auto* inputs = batch.inputs.mutable_data_ptr<int64_t>() + offset;
    auto* targets = batch.targets.mutable_data_ptr<int64_t>() + offset;
    const bool narrow = stream.ids.scalar_type() == at::kUInt16;
    (narrow ? copy_row<uint16_t> : copy_row<int32_t>)(stream, begin, length, inputs, targets);
    mark_documents(stream.starts, begin, length, batch.document_starts.mutable_data_ptr<int64_t>() + offset);
  }
  return batch;
}

}  // namespace bilens
