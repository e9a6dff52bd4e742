// The kernel's PluginInspector over real files: reads manifests, checks folders and entry points, digests what is
// there.
//
// Ownership and thread: owned by the daemon. inspect() and digest() are called on the kernel thread and only queue; one
// thread of its own does the work, because a disk may be slow, and posts the answers back. At most
// limits::kInspectionsMax wait.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <string>

#include "daemon/digest_cache.h"
#include "daemon/file_opener.h"
#include "daemon/folder_safety.h"
#include "kernel/base/manifest.h"
#include "kernel/registry/plugin_inspector.h"

namespace liongate::daemon {

class FileInspector final : public registry::PluginInspector {
 public:
  FileInspector(boost::asio::io_context& kernel, UniqueFd files_socket, FolderRules rules);
  ~FileInspector() override;

  void inspect(registry::PluginSource source, std::function<void(Result<v1::PluginLoaded>)> done) override;
  void digest(const v1::PluginLoaded& loaded, std::function<void(Result<std::string>)> done) override;

 private:
  Result<v1::PluginLoaded> inspect_now(const registry::PluginSource& source);
  Result<Manifest> read_manifest(const registry::PluginSource& source, v1::PluginLoaded& loaded);
  Result<void> check_plugin_folder(const registry::PluginSource& source, v1::PluginLoaded& loaded);
  void choose_entry_point(const Manifest& manifest, v1::PluginLoaded& loaded);
  Result<void> check_entry_point(v1::PluginLoaded& loaded);
  Result<void> check_script(const std::string& first_bytes, const std::string& entry);
  template <typename Value>
  bool admit(std::function<void(Result<Value>)>& done);

  boost::asio::io_context& kernel_;
  FileOpener opener_;
  DigestCache digests_;
  FolderRules rules_;
  int jobs_ = 0;  // kernel thread
  boost::asio::thread_pool worker_{1};
};

}  // namespace liongate::daemon
