// Goal: what is appended comes back, in order, numbered without gaps, from every kind of reader, across lives and
// segments. Method: real folders, real threads.
#include <filesystem>
#include <thread>

#include "tests/event_log/log_fixture.h"

using namespace liongate;
using namespace liongate::event_log;

TEST_CASE("events come back in order and without gaps, in this life and the next") {
  const TemporaryFolder folder;
  std::string node;
  {
    LivingLog living({.folder = folder.path});
    CHECK(living.log->recovery().last_seq == 0);
    CHECK(living.log->recovery().clean);
    living.append_durable(1000);
    CHECK(living.log->durable_seq() == 1000);
    CHECK(read_all(**living.log->read(0)) == 1000);
    CHECK(read_all(**living.log->read(990)) == 1000);
    node = living.log->node_id();
    REQUIRE(living.log->close().has_value());
    REQUIRE(living.log->close().has_value());
  }
  CHECK(read_all(**read_offline(folder.path, 0)) == 1000);
  LivingLog living({.folder = folder.path});
  CHECK(living.log->recovery().last_seq == 1000);
  CHECK(living.log->recovery().clean);
  CHECK_FALSE(living.log->recovery().torn_tail);
  CHECK(living.log->node_id() == node);
  living.append_durable(10);
  CHECK(living.log->last_seq() == 1010);
  CHECK(read_all(**living.log->read(0)) == 1010);
  CHECK(verify(folder.path)->in_use);
  REQUIRE(living.log->close().has_value());
  const Verification verification = verify(folder.path).value();
  CHECK(verification.damages.empty());
  CHECK(verification.events == 1010);
  CHECK(verification.segments == 2);
  CHECK(verification.first_seq == 1);
  CHECK(verification.last_seq == 1010);
  CHECK_FALSE(verification.in_use);
}

TEST_CASE("a log that was opened and closed without an event leaves no segment") {
  const TemporaryFolder folder;
  for (int life = 0; life < 3; ++life) {
    LivingLog living({.folder = folder.path});
    CHECK(living.log->last_seq() == 0);
    CHECK(living.log->recovery().clean);
  }
  CHECK(segments_in(folder.path).empty());
  CHECK(verify(folder.path)->damages.empty());
  CHECK_FALSE(*(*read_offline(folder.path, 0))->next(*std::make_unique<v1::Event>()));
}

TEST_CASE("small segments rotate and the chain holds over them") {
  const TemporaryFolder folder;
  {
    LivingLog living({.folder = folder.path, .segment_bytes = 64 * 1024});
    for (int round = 0; round < 50; ++round) living.append_durable(40);
    CHECK(read_all(**living.log->read(0)) == 2000);
  }
  CHECK(segments_in(folder.path).size() > 5);
  const Verification verification = verify(folder.path).value();
  for (const Damage& damage : verification.damages) UNSCOPED_INFO(damage.message);
  CHECK(verification.damages.empty());
  CHECK(verification.events == 2000);
  for (const EventSeq after : {0U, 1U, 500U, 1999U, 2000U}) CHECK(read_all(**read_offline(folder.path, after)) == 2000);
  CHECK((*read_offline(folder.path, 5000))->position() == 5000);
}
