#include "gloo_group.h"

#include <cstdlib>

#include "bilens/core/error.h"

#ifdef BILENS_GLOO
#define USE_C10D_GLOO  // what LibTorch was built with
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#endif

namespace bilens {

c10::intrusive_ptr<c10d::Backend> gloo_group(const c10::intrusive_ptr<c10d::Store>& store,
                                             const Launch& launch, std::chrono::seconds timeout) {
#ifdef BILENS_GLOO
  using Gloo = c10d::ProcessGroupGloo;
  const auto options = Gloo::Options::create(timeout);
  const char* const interface = std::getenv("GLOO_SOCKET_IFNAME");
  options->devices.push_back(interface != nullptr                 ? Gloo::createDeviceForInterface(interface)
                             : launch.local_ranks == launch.ranks ? Gloo::createDeviceForHostname("127.0.0.1")
                                                                  : Gloo::createDefaultDevice());
  return c10::make_intrusive<Gloo>(store, static_cast<int>(launch.rank), static_cast<int>(launch.ranks),
                                   options);
#else
  static_cast<void>(store);
  static_cast<void>(timeout);
  throw Error(
      ExitCode::kFailure,
      {"WORLD_SIZE", "1", std::to_string(launch.ranks),
       "This bilens was built without Gloo: install its headers (Debian's libgloo-dev) and build again, or "
       "unset the launcher's variables."});
#endif
}

}  // namespace bilens
