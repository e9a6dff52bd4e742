// Goal: secrets are read anew each time, by threads that the kernel does not wait for, and so many at a time.
#include "daemon/secret_reader.h"

#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "daemon/secret_command.h"
#include "kernel/base/limits.h"

using namespace liongate;
using namespace liongate::daemon;

namespace {

using Values = std::vector<policy::SecretValue>;

struct SecretFolder {
  std::string path = "/tmp/liongate-secrets-XXXXXX";
  SecretFolder() { REQUIRE(::mkdtemp(path.data()) != nullptr); }
  ~SecretFolder() { std::filesystem::remove_all(path); }
  std::string write(const std::string& name, const std::string& value) const {
    std::ofstream(path + "/" + name) << value;
    REQUIRE(::chmod((path + "/" + name).c_str(), 0600) == 0);
    return path + "/" + name;
  }
};

config::SecretConfig from_file(const std::string& path) {
  config::SecretConfig source;
  source.file = path;
  return source;
}

config::SecretConfig from_command(std::vector<std::string> words, int timeout_ms = 5000) {
  config::SecretConfig source;
  source.kind = config::SecretKind::kCommand;
  source.command = std::move(words);
  source.timeout_ms = timeout_ms;
  return source;
}

// Runs the loop until the one answer is there.
Result<Values> fetched(boost::asio::io_context& io, SecretReader& reader, std::vector<std::string> names) {
  std::optional<Result<Values>> answer;
  reader.fetch(std::move(names), [&](Result<Values> values) { answer = std::move(values); });
  CHECK_FALSE(answer.has_value());  // never inside the call
  io.restart();                     // it stops whenever nothing is left to do
  const auto work = boost::asio::make_work_guard(io);
  while (!answer) io.run_one();
  return std::move(*answer);
}

}  // namespace

TEST_CASE("all that were asked for come in their order, with where they are from") {
  boost::asio::io_context io;
  const SecretFolder folder;
  SecretReader reader(
      io, {{"one", from_file(folder.write("one", "first\n"))}, {"two", from_command({"/bin/echo", "second"})}});
  const auto both = fetched(io, reader, {"two", "one"});
  REQUIRE(both.has_value());
  CHECK((*both)[0].name == "two");
  CHECK((*both)[0].source == "command");
  CHECK((*both)[0].value.text() == "second");   // the newline of echo is not meant
  CHECK((*both)[1].value.text() == "first\n");  // a file's is as it stands
  CHECK((*both)[1].source == "file");
  folder.write("one", "rotated");
  CHECK((*fetched(io, reader, {"one"}))[0].value.text() == "rotated");
  reader.set_sources({{"one", from_file(folder.write("other", "elsewhere"))}});
  CHECK((*fetched(io, reader, {"one"}))[0].value.text() == "elsewhere");
  const auto gone = fetched(io, reader, {"one", "two"});
  REQUIRE_FALSE(gone.has_value());
  CHECK(gone.error().reason == Reason::kInvalidConfig);
  CHECK(gone.error().metadata.at("secret") == "two");
}

TEST_CASE("a slow command holds up no other secret, and the end of the reader none of it") {
  boost::asio::io_context io;
  const SecretFolder folder;
  auto reader =
      std::make_unique<SecretReader>(io, SecretReader::Sources{{"slow", from_command({"/bin/sleep", "60"}, 60'000)},
                                                               {"quick", from_file(folder.write("quick", "value"))}});
  bool answered = false;
  reader->fetch({"slow"}, [&](const Result<Values>&) { answered = true; });
  CHECK(fetched(io, *reader, {"quick"}).has_value());
  const auto begin = std::chrono::steady_clock::now();
  reader.reset();
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(10));
  CHECK_FALSE(answered);
}

TEST_CASE("more than may wait are refused at once, and room comes back") {
  boost::asio::io_context io;
  const SecretFolder folder;
  SecretReader reader(io, {{"quick", from_file(folder.write("quick", "value"))}});
  int given = 0;
  int refused = 0;
  for (int i = 0; i < limits::kSecretFetchesMax + 5; ++i) {
    reader.fetch({"quick"}, [&](const Result<Values>& values) {
      values ? ++given : ++refused;
      if (!values) CHECK(values.error().reason == Reason::kQueueFull);
    });
  }
  io.restart();  // it stops whenever nothing is left to do
  const auto work = boost::asio::make_work_guard(io);
  while (given + refused < limits::kSecretFetchesMax + 5) io.run_one();
  CHECK(refused == 5);
  CHECK(fetched(io, reader, {"quick"}).has_value());
}

TEST_CASE("what a command left running is killed with it") {
  const SecretFolder folder;
  const std::string mark = folder.path + "/mark";
  const UniqueFd cancel(::eventfd(0, EFD_CLOEXEC));
  // The background process holds stdout open: its leader's end counts, not that of the pipe.
  const std::string script = "(sleep 1; echo > " + mark + ") & echo value";
  const auto value = run_secret_command({"/bin/sh", "-c", script}, 5000, cancel.get());
  REQUIRE(value.has_value());
  CHECK(value->text() == "value");
  ::usleep(1'200'000);  // it would have made the file by now
  CHECK_FALSE(std::filesystem::exists(mark));
}

TEST_CASE("the largest value is one of the bound, without the newline behind it") {
  const UniqueFd cancel(::eventfd(0, EFD_CLOEXEC));
  const std::string bytes = std::to_string(limits::kSecretBytesMax);
  const auto whole = run_secret_command({"/bin/sh", "-c", "head -c " + bytes + " /dev/zero; echo"}, 5000, cancel.get());
  REQUIRE(whole.has_value());
  CHECK(whole->text().size() == limits::kSecretBytesMax);
  const auto more =
      run_secret_command({"/bin/sh", "-c", "head -c " + bytes + " /dev/zero; echo; echo"}, 5000, cancel.get());
  CHECK(more.error().reason == Reason::kInvalidConfig);
}
