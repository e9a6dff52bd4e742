#include "netgate/resolver.h"

#include <ares.h>
#include <arpa/inet.h>
#include <netdb.h>

#include <array>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>

namespace liongate::netgate {
namespace {

constexpr int kTriesMax = 2;
constexpr int kTryMs = 2'000;  // twice within kResolveMsMax
constexpr std::size_t kHostsBytesMax = 1024 * 1024;

}  // namespace

class Resolver::Impl {
 public:
  explicit Impl(boost::asio::io_context& io) : io_(io), timer_(io) {}

  ~Impl() {
    stopping_ = true;
    if (channel_ != nullptr) ares_destroy(channel_);
    if (host_servers_ != nullptr) ares_free_data(host_servers_);
    forget_sockets();
    ares_library_cleanup();
  }

  Result<void> open() {
    if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS) return make_error(Reason::kInternal, "c-ares");
    ares_options options{};
    options.timeout = kTryMs;
    options.tries = kTriesMax;
    options.sock_state_cb = [](void* self, ares_socket_t socket, int readable, int writable) {
      static_cast<Impl*>(self)->watch(socket, readable != 0, writable != 0);
    };
    options.sock_state_cb_data = this;
    char lookups[] = "b";
    options.lookups = lookups;
    const int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB | ARES_OPT_LOOKUPS;
    if (const int status = ares_init_options(&channel_, &options, mask); status != ARES_SUCCESS) {
      return make_error(Reason::kInternal, std::string("the host's resolver: ") + ares_strerror(status));
    }
    if (ares_get_servers_ports(channel_, &host_servers_) != ARES_SUCCESS) host_servers_ = nullptr;
    read_hosts();
    return {};
  }

  Result<void> use_servers(const std::string& servers) {
    if (servers == servers_in_use_) return {};
    ares_cancel(channel_);  // servers cannot be exchanged under a question: who asked is told to ask again
    const int status = servers.empty() ? ares_set_servers_ports(channel_, host_servers_)
                                       : ares_set_servers_ports_csv(channel_, servers.c_str());
    if (status == ARES_SUCCESS) {
      servers_in_use_ = servers;
      return {};
    }
    return make_error(Reason::kInvalidConfig, "network_resolver: \"" + servers + "\" is no list of ADDRESS[:PORT]");
  }

  void resolve(const std::string& name, Done done) {
    if (const auto known = hosts_.find(name); known != hosts_.end()) {
      boost::asio::post(io_, [done = std::move(done), addresses = known->second] { done(addresses, false); });
      return;
    }
    auto* request = new Request{this, std::move(done)};
    ares_addrinfo_hints hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_flags = ARES_AI_NOSORT;
    // The final dot: no search domain of the host is tried.
    ares_getaddrinfo(channel_, (name + ".").c_str(), nullptr, &hints, &Impl::on_answer, request);
    arm();
  }

 private:
  void read_hosts() {
    std::ifstream file("/etc/hosts");
    std::string line;
    std::size_t bytes = 0;
    while (std::getline(file, line) && (bytes += line.size()) <= kHostsBytesMax) {
      std::istringstream words(line.substr(0, line.find('#')));
      std::string word;
      if (!(words >> word)) continue;
      const auto address = parse_network(word);
      if (!address) continue;
      while (words >> word) {
        if (const auto name = canonical_name(word)) hosts_[*name].push_back(address->base);
      }
    }
  }

  struct Request {
    Impl* impl;
    Done done;
  };
  using Descriptor = boost::asio::posix::stream_descriptor;
  struct Watched {
    explicit Watched(boost::asio::io_context& io, ares_socket_t socket) : descriptor(io, socket) {}
    Descriptor descriptor;
    bool wants_read = false;
    bool wants_write = false;
    bool reads = false;
    bool writes = false;
  };

  static void on_answer(void* argument, int status, int /*timeouts*/, ares_addrinfo* found) {
    const std::unique_ptr<Request> request(static_cast<Request*>(argument));
    std::vector<Address> addresses;
    for (const ares_addrinfo_node* node = found == nullptr ? nullptr : found->nodes; node != nullptr;
         node = node->ai_next) {
      if (node->ai_family == AF_INET) {
        const auto* address = reinterpret_cast<const sockaddr_in*>(node->ai_addr);
        addresses.push_back(boost::asio::ip::address_v4(ntohl(address->sin_addr.s_addr)));
      } else if (node->ai_family == AF_INET6) {
        const auto* address = reinterpret_cast<const sockaddr_in6*>(node->ai_addr);
        boost::asio::ip::address_v6::bytes_type bytes;
        std::memcpy(bytes.data(), &address->sin6_addr, bytes.size());
        addresses.push_back(plain(boost::asio::ip::address_v6(bytes)));
      }
    }
    if (found != nullptr) ares_freeaddrinfo(found);
    Impl& impl = *request->impl;
    if (impl.stopping_) return;
    const bool failed = status != ARES_SUCCESS && status != ARES_ENOTFOUND && status != ARES_ENODATA;
    boost::asio::post(impl.io_, [done = std::move(request->done), addresses = std::move(addresses), failed]() mutable {
      done(std::move(addresses), failed);
    });
  }

  // c-ares says what it waits for, and closes its sockets itself.
  void watch(ares_socket_t socket, bool readable, bool writable) {
    const auto found = sockets_.find(socket);
    if (!readable && !writable) {
      if (found == sockets_.end()) return;
      found->second->descriptor.release();
      sockets_.erase(found);
      return;
    }
    auto& watched = found != sockets_.end()
                        ? found->second
                        : sockets_.emplace(socket, std::make_shared<Watched>(io_, socket)).first->second;
    watched->wants_read = readable;
    watched->wants_write = writable;
    arm(watched);
  }

  void arm(const std::shared_ptr<Watched>& watched) {
    const auto wait = [this, watched](Descriptor::wait_type type, bool& waits) {
      if (waits) return;
      waits = true;
      const ares_socket_t socket = watched->descriptor.native_handle();
      watched->descriptor.async_wait(
          type, [this, watched, socket, type, &waits](const boost::system::error_code& fault) {
            waits = false;
            if (fault || stopping_) return;
            const bool is_read = type == Descriptor::wait_read;
            ares_process_fd(channel_, is_read ? socket : ARES_SOCKET_BAD, is_read ? ARES_SOCKET_BAD : socket);
            if (const auto found = sockets_.find(socket); found != sockets_.end() && found->second == watched)
              arm(watched);
            arm();
          });
    };
    if (watched->wants_read) wait(Descriptor::wait_read, watched->reads);
    if (watched->wants_write) wait(Descriptor::wait_write, watched->writes);
  }

  // The timer of retries.
  void arm() {
    timeval room{};
    timeval limit{kResolveMsMax / 1000, 0};
    const timeval* next = ares_timeout(channel_, &limit, &room);
    if (sockets_.empty()) return;
    timer_.expires_after(std::chrono::seconds(next->tv_sec) + std::chrono::microseconds(next->tv_usec + 1000));
    timer_.async_wait([this](const boost::system::error_code& fault) {
      if (fault || stopping_) return;
      ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
      arm();
    });
  }

  void forget_sockets() {
    for (auto& [socket, watched] : sockets_) watched->descriptor.release();
    sockets_.clear();
  }

  boost::asio::io_context& io_;
  boost::asio::steady_timer timer_;
  ares_channel channel_ = nullptr;
  std::string servers_in_use_;  // empty: the host's
  ares_addr_port_node* host_servers_ = nullptr;
  std::map<std::string, std::vector<Address>> hosts_;
  std::map<ares_socket_t, std::shared_ptr<Watched>> sockets_;
  bool stopping_ = false;
};

Resolver::Resolver(boost::asio::io_context& io) : impl_(std::make_unique<Impl>(io)) {}
Resolver::~Resolver() = default;

Result<void> Resolver::open() {
  return impl_->open();
}
Result<void> Resolver::use_servers(const std::string& servers) {
  return impl_->use_servers(servers);
}
void Resolver::resolve(const std::string& name, Done done) {
  impl_->resolve(name, std::move(done));
}

}  // namespace liongate::netgate
