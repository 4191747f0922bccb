#include "bilens/core/stop.h"

#include <signal.h>
#include <unistd.h>

#include <csignal>

#include "bilens/core/host.h"

namespace bilens {

namespace {

volatile std::sig_atomic_t requests = 0;

extern "C" void on_signal(int signal) {
  if (requests != 0) _exit(128 + signal);
  requests = 1;
}

}  // namespace

void install_stop_handler() {
  struct sigaction action = {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  // A full file-size limit then is an error of write(), reported like a full disk.
  signal(SIGXFSZ, SIG_IGN);
}

bool stop_requested() {
  if (requests != 0) return true;
  Host* const host = current_host();
  return host != nullptr && host->stop_requested();
}

}  // namespace bilens
