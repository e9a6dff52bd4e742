#include "daemon/secret_reader.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <cstdlib>

#include "daemon/secret_command.h"
#include "kernel/base/sys.h"

namespace liongate::daemon {
namespace {

enum class Guard { kOwnerAlone, kServiceManager };

Result<UniqueFd> open_secret_file(const std::string& path, Guard guard) {
  // A FIFO must not hold us up, and a terminal not become ours.
  auto file = sys::open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  if (!file) {
    const int why = file.error().sys_errno;
    Error error = make_errno_error(Reason::kInvalidConfig, path, why);
    if (why == ELOOP) error.message = path + " is a symbolic link";
    error.hint = why == ELOOP    ? "name the file itself"
                 : why == ENOENT ? "write it, or correct the path"
                                 : "chown " + std::to_string(::geteuid()) + " " + path;
    return error;
  }
  struct stat info {};
  if (::fstat(file->get(), &info) != 0) return make_errno_error(Reason::kInvalidConfig, "stat " + path, errno);
  if (!S_ISREG(info.st_mode)) return make_error(Reason::kInvalidConfig, path + " is not a regular file");
  if (guard == Guard::kServiceManager) return file;
  if (info.st_uid != 0 && info.st_uid != ::geteuid()) {
    return make_error(Reason::kInvalidConfig,
                      path + " belongs to user " + std::to_string(info.st_uid) + ", not to root or the daemon's")
        .with_hint("chown " + std::to_string(::geteuid()) + " " + path);
  }
  if ((info.st_mode & 077) != 0) {
    return make_error(Reason::kInvalidConfig, path + " can be read or written by others than its owner")
        .with_hint("chmod 600 " + path + ", and change the secret: it may be known");
  }
  return file;
}

Result<SecretBytes> read_secret_file(const std::string& path, Guard guard) {
  LG_ASSIGN(const UniqueFd file, open_secret_file(path, guard));
  SecretBytes value(limits::kSecretBytesMax + 1);
  LG_ASSIGN(const std::size_t got, sys::read_at(file.get(), value.bytes(), 0));
  if (got == 0) return make_error(Reason::kInvalidConfig, path + " is empty");
  if (got > limits::kSecretBytesMax) {
    return make_error(Reason::kInvalidConfig,
                      path + " is longer than " + std::to_string(limits::kSecretBytesMax) + " bytes");
  }
  value.shrink(got);
  return value;
}

Result<SecretBytes> read_credential(const std::string& name) {
  const char* const folder = std::getenv("CREDENTIALS_DIRECTORY");
  if (folder == nullptr) {
    return make_error(Reason::kInvalidConfig, "the service manager gave the daemon no credentials")
        .with_hint("LoadCredential=" + name + ":/PATH in the unit of liongated (systemctl edit liongated)");
  }
  auto value = read_secret_file(std::string(folder) + "/" + name, Guard::kServiceManager);
  if (!value && value.error().sys_errno == ENOENT) {
    return make_error(Reason::kInvalidConfig, "the service manager gave the daemon no credential " + name)
        .with_hint("LoadCredential=" + name + ":/PATH in the unit of liongated, and restart it");
  }
  return value;
}

// What is not an error of ours is one of the configuration's or of the source's; never of the caller's.
Error of_secret(Error error, const std::string& name) {
  if (error.reason == Reason::kInternal) error.reason = Reason::kLoadFailure;
  return std::move(error).in("secret " + name).with("secret", name);
}

Result<std::vector<policy::SecretValue>> read_all(const SecretReader::Sources& sources,
                                                  const std::vector<std::string>& names, int cancel_fd) {
  std::vector<policy::SecretValue> values;
  for (const std::string& name : names) {
    const auto source = sources.find(name);
    if (source == sources.end()) {
      return of_secret(make_error(Reason::kInvalidConfig, "the daemon's configuration names no source for it")
                           .with_hint("add to it: secrets: {" + name + ": {file: /PATH}}; see docs/secrets.md"),
                       name);
    }
    auto value = read_secret(source->second, cancel_fd);
    if (!value) return of_secret(std::move(value).error(), name);
    values.push_back({name, std::string(config::name_of(source->second.kind)), std::move(*value)});
  }
  return values;
}

}  // namespace

Result<SecretBytes> read_secret(const config::SecretConfig& source, int cancel_fd) {
  switch (source.kind) {
    case config::SecretKind::kCredential:
      return read_credential(source.credential);
    case config::SecretKind::kFile:
      return read_secret_file(source.file, Guard::kOwnerAlone);
    case config::SecretKind::kCommand:
      return run_secret_command(source.command, source.timeout_ms, cancel_fd);
  }
  return make_error(Reason::kInternal, "a source of no kind");
}

SecretReader::SecretReader(boost::asio::io_context& kernel, Sources sources)
    : kernel_(kernel),
      sources_(std::make_shared<const Sources>(std::move(sources))),
      stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      workers_(limits::kSecretFetchThreads) {
  for (std::size_t i = 0; i < limits::kSecretFetchThreads; ++i) {
    boost::asio::post(workers_, [] { sys::name_thread("secret-reader"); });
  }
}

SecretReader::~SecretReader() {
  static_cast<void>(::eventfd_write(stop_.get(), 1));
  for (boost::asio::thread_pool* pool : {&workers_, &file_worker_}) {
    pool->stop();
    pool->join();
  }
}

void SecretReader::set_sources(Sources sources) {
  sources_ = std::make_shared<const Sources>(std::move(sources));
}

void SecretReader::fetch(std::vector<std::string> names, Done done) {
  if (jobs_ >= limits::kSecretFetchesMax) {
    boost::asio::post(kernel_, [done = std::move(done)] {
      done(make_error(Reason::kQueueFull, "too many secrets are being fetched at once").with_hint("try again later"));
    });
    return;
  }
  ++jobs_;
  const bool needs_command = std::any_of(names.begin(), names.end(), [this](const std::string& name) {
    const auto source = sources_->find(name);
    return source != sources_->end() && source->second.kind == config::SecretKind::kCommand;
  });
  boost::asio::thread_pool& pool = needs_command ? workers_ : file_worker_;
  boost::asio::post(pool, [this, sources = sources_, names = std::move(names), done = std::move(done)]() mutable {
    auto values = read_all(*sources, names, stop_.get());
    boost::asio::post(kernel_, [this, values = std::move(values), done = std::move(done)]() mutable {
      --jobs_;
      done(std::move(values));
    });
  });
}

}  // namespace liongate::daemon
