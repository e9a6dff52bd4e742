// SHA-256 with one OpenSSL context used again and again, for the chain over batches.
//
// Ownership and thread: move-nothing, one thread at a time. Errors: none that a caller could act on; a digest that
// OpenSSL refuses to compute is a broken installation and aborts.
#pragma once

#include <memory>
#include <span>

#include "kernel/event_log/format.h"

struct evp_md_ctx_st;
struct evp_md_st;

namespace liongate::event_log {

class ChainHash {
 public:
  ChainHash();
  ~ChainHash();
  ChainHash(const ChainHash&) = delete;
  ChainHash& operator=(const ChainHash&) = delete;

  void start();
  void add(std::span<const std::byte> bytes);
  Hash finish();

  // The hash of a link (commit or seal): what was before it, the batch's records, the link's own fields.
  // `body` is the encoded link whose last 32 bytes, the hash itself, are left out.
  Hash of_link(const Hash& previous, std::span<const std::byte> records, std::span<const std::byte> body);

  // What the chain of a segment begins with: its header page.
  Hash of_header(std::span<const std::byte> page);

 private:
  evp_md_st* algorithm_;
  evp_md_ctx_st* context_;
};

}  // namespace liongate::event_log
