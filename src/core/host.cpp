#include "bilens/core/host.h"

#include <utility>

namespace bilens {

namespace {

thread_local Host* host_of_thread = nullptr;

}  // namespace

HostScope::HostScope(Host* host) : before_(std::exchange(host_of_thread, host)) {}

HostScope::~HostScope() { host_of_thread = before_; }

Host* current_host() { return host_of_thread; }

}  // namespace bilens
