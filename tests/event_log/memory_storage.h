// A folder in memory that never fails: for tests that look at thousands of damaged copies of one log.
//
// Ownership and thread: shares its files with whoever opened them; one thread. Errors: a file that is not there.
#pragma once

#include <cerrno>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kernel/event_log/storage.h"

namespace liongate::event_log {

class MemoryFile final : public File {
 public:
  explicit MemoryFile(std::string contents = {}) : bytes(std::move(contents)) {}
  Result<void> write_at(std::uint64_t offset, std::span<const std::byte> from) override {
    if (bytes.size() < offset + from.size()) bytes.resize(offset + from.size(), '\0');
    if (!from.empty()) std::memcpy(bytes.data() + offset, from.data(), from.size());
    return {};
  }
  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> to) override {
    if (offset >= bytes.size()) return std::size_t{0};
    const std::size_t got = std::min<std::size_t>(to.size(), bytes.size() - offset);
    std::memcpy(to.data(), bytes.data() + offset, got);
    return got;
  }
  Result<void> sync() override { return {}; }
  Result<std::uint64_t> size_bytes() override { return std::uint64_t{bytes.size()}; }
  Result<void> resize(std::uint64_t size) override {
    bytes.resize(size, '\0');
    return {};
  }

  std::string bytes;
};

class MemoryStorage final : public Storage {
 public:
  MemoryStorage() = default;
  explicit MemoryStorage(const std::map<std::string, std::string>& contents) {
    for (const auto& [name, bytes] : contents) files[name] = std::make_shared<MemoryFile>(bytes);
  }

  Result<std::shared_ptr<File>> open(const std::string& name, Access access) override {
    auto& file = files[name];
    if (!file && access != Access::kCreate) {
      files.erase(name);
      return make_errno_error(Reason::kInternal, "open " + name, ENOENT);
    }
    if (!file) file = std::make_shared<MemoryFile>();
    return std::shared_ptr<File>(file);
  }
  Result<std::vector<std::string>> list() override {
    std::vector<std::string> names;
    for (const auto& [name, file] : files) names.push_back(name);
    return names;
  }
  Result<void> remove(const std::string& name) override {
    files.erase(name);
    return {};
  }
  Result<void> rename(const std::string& from, const std::string& to) override {
    files[to] = files.at(from);
    files.erase(from);
    return {};
  }
  Result<void> sync_dir() override { return {}; }
  Result<std::uint64_t> free_space_bytes() override { return std::uint64_t{1} << 40; }
  const std::string& location() const override { return location_; }

  std::map<std::string, std::shared_ptr<MemoryFile>> files;

 private:
  const std::string location_ = "/memory/log";
};

}  // namespace liongate::event_log
