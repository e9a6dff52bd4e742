// Goal: SHA-256 is SHA-256 (the vectors of FIPS 180-2) however the bytes are given.
#include "kernel/base/digest.h"

#include <catch2/catch.hpp>

using namespace liongate;

TEST_CASE("known texts have their known digests") {
  CHECK(sha256_hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST_CASE("pieces give the digest of the whole") {
  Sha256 digest;
  digest.update("a");
  digest.update("");
  digest.update("bc");
  CHECK(digest.finish_hex() == sha256_hex("abc"));
}

TEST_CASE("after its end a digest begins anew") {
  Sha256 digest;
  digest.update("something");
  static_cast<void>(digest.finish_hex());
  digest.update("abc");
  CHECK(digest.finish_hex() == sha256_hex("abc"));
}
