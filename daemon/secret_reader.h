// The kernel's SecretSource over what the operator configured: credentials of the service manager, files, commands.
//
// Every fetch reads its source anew, so that a value that was rotated is the next one given. Nothing is kept.
//
//   credential   $CREDENTIALS_DIRECTORY/ID, whose folder the service manager keeps from others
//   file         a regular file, no symbolic link, of root or the daemon's user, without any right for group and others
//   command      see secret_command.h
//
// Ownership and thread: owned by the daemon. fetch() and set_sources() are called on the kernel thread and only queue;
// limits::kSecretFetchThreads threads of its own do the work and post the answers back, and one more for fetches that
// need no command: they never wait for one. At most limits::kSecretFetchesMax wait; more are refused with kQueueFull.
// Its end kills commands that run.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <map>
#include <memory>
#include <string>

#include "config/daemon_config.h"
#include "kernel/base/unique_fd.h"
#include "kernel/policy/secret_source.h"

namespace liongate::daemon {

class SecretReader final : public policy::SecretSource {
 public:
  using Sources = std::map<std::string, config::SecretConfig>;

  SecretReader(boost::asio::io_context& kernel, Sources sources);
  ~SecretReader() override;

  // From the next fetch on.
  void set_sources(Sources sources);

  void fetch(std::vector<std::string> names, Done done) override;

 private:
  boost::asio::io_context& kernel_;
  std::shared_ptr<const Sources> sources_;
  int jobs_ = 0;  // kernel thread
  UniqueFd stop_;
  boost::asio::thread_pool workers_;
  boost::asio::thread_pool file_worker_{1};
};

// One value as it is now; waits for it. `cancel_fd` as in run_secret_command. Errors as in SecretSource::fetch.
Result<SecretBytes> read_secret(const config::SecretConfig& source, int cancel_fd);

}  // namespace liongate::daemon
