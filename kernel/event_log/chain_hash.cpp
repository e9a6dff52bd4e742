#include "kernel/event_log/chain_hash.h"

#include <openssl/evp.h>

#include "kernel/base/assert.h"

namespace liongate::event_log {

ChainHash::ChainHash() : algorithm_(EVP_MD_fetch(nullptr, "SHA256", nullptr)), context_(EVP_MD_CTX_new()) {
  LG_ASSERT(algorithm_ != nullptr && context_ != nullptr);
}

ChainHash::~ChainHash() {
  EVP_MD_CTX_free(context_);
  EVP_MD_free(algorithm_);
}

void ChainHash::start() {
  LG_ASSERT(EVP_DigestInit_ex2(context_, algorithm_, nullptr) == 1);
}

void ChainHash::add(std::span<const std::byte> bytes) {
  LG_ASSERT(EVP_DigestUpdate(context_, bytes.data(), bytes.size()) == 1);
}

Hash ChainHash::finish() {
  Hash hash{};
  LG_ASSERT(EVP_DigestFinal_ex(context_, reinterpret_cast<unsigned char*>(hash.data()), nullptr) == 1);
  return hash;
}

Hash ChainHash::of_link(const Hash& previous, std::span<const std::byte> records, std::span<const std::byte> body) {
  start();
  add(previous);
  add(records);
  add(body.first(body.size() - sizeof(Hash)));
  return finish();
}

Hash ChainHash::of_header(std::span<const std::byte> page) {
  start();
  add(page.first(kSegmentHeaderBytes));
  return finish();
}

}  // namespace liongate::event_log
