// Goal: each verb sends what its flags say and prints what came back, alone, in the form that was asked for.
#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "cli/cloud_event.h"
#include "fake_daemon.h"
#include "kernel/base/limits.h"

using namespace liongate;
using namespace liongate::test;

namespace {

v1::Event event(std::uint64_t seq, const std::string& type) {
  v1::Event event;
  event.set_seq(seq);
  event.set_type(type);
  event.set_plugin_name("hello");
  event.mutable_time()->set_seconds(1'700'000'000);
  return event;
}

}  // namespace

TEST_CASE("load-plugin sends the absolute path and prints the id alone") {
  FakeDaemon daemon;
  const Run run = ctl(daemon, {"load-plugin", "--manifest", "some/../m.toml", "--replace", "--no-start"});
  CHECK(run.exit_code == 0);
  CHECK(run.out == daemon.plugin.plugin_id() + "\n");
  CHECK(run.err.empty());
  CHECK(daemon.load_request.manifest_path() == std::filesystem::current_path().string() + "/m.toml");
  CHECK(daemon.load_request.replace());
  CHECK(daemon.load_request.no_start());
}

TEST_CASE("load-plugin tells of what the manifest says in vain") {
  FakeDaemon daemon;
  const std::string path = daemon.folder() + "/m.toml";
  std::ofstream(path)
      << "name = \"a\"\nversion = \"0.1.0\"\nentry_point = \"./a\"\npermissions = []\nrol = \"observer\"\n";
  const Run run = ctl(daemon, {"load-plugin", path});
  CHECK(run.exit_code == 0);
  CHECK(run.err == "warning: " + path + ":5: rol: unknown key; did you mean `role`?\n");
}

TEST_CASE("invoke-plugin prints the output as it is, nothing added") {
  FakeDaemon daemon;
  daemon.on_invoke = [](const auto& request, auto& response) {
    response.set_text("<" + request.text() + ">");
    return grpc::Status::OK;
  };
  const Run run = ctl(daemon, {"invoke-plugin", "hello", "--input", "test", "--operation", "greet", "--correlation-id",
                               "c-1", "--timeout", "1500ms", "--durability", "batch"});
  CHECK(run.exit_code == 0);
  CHECK(run.out == "<test>");
  CHECK(daemon.invoke_request.operation() == "greet");
  CHECK(daemon.invoke_request.correlation_id() == "c-1");
  CHECK(daemon.invoke_request.timeout().seconds() == 1);
  CHECK(daemon.invoke_request.timeout().nanos() == 500'000'000);
  CHECK(daemon.invoke_request.durability() == v1::DURABILITY_BATCH);
}

TEST_CASE("a call has 30 seconds unless told otherwise") {
  FakeDaemon daemon;
  ctl(daemon, {"invoke-plugin", "hello", "--input", "test"});
  CHECK(daemon.invoke_request.timeout().seconds() == 30);
  CHECK(daemon.invoke_request.durability() == v1::DURABILITY_UNSPECIFIED);
}

TEST_CASE("inputs that look like options or are empty arrive as they are") {
  FakeDaemon daemon;
  for (const std::string input : {"--help", "-o", "-5", "", "a b", "{\"a\": [1]}", "[a,b]"}) {
    INFO(input);
    CHECK(ctl(daemon, {"invoke-plugin", "hello", "--input=" + input}).exit_code == 0);
    CHECK(daemon.invoke_request.text() == input);
    CHECK(ctl(daemon, {"invoke-plugin", "hello", "--input", input}).exit_code == 0);
    CHECK(daemon.invoke_request.text() == input);
  }
}

TEST_CASE("an input that is not UTF-8 is sent as bytes, and bytes that come back are printed as bytes") {
  FakeDaemon daemon;
  daemon.on_invoke = [](const auto& request, auto& response) {
    response.set_data(request.data());
    return grpc::Status::OK;
  };
  const std::string path = daemon.folder() + "/input";
  const std::string bytes("\xFF\x00\x80", 3);
  std::ofstream(path) << bytes;
  const Run run = ctl(daemon, {"invoke-plugin", "hello", "--input-file", path});
  CHECK(run.exit_code == 0);
  CHECK(run.out == bytes);
  CHECK(daemon.invoke_request.input_case() == v1::InvokePluginRequest::kData);
}

TEST_CASE("an input over the bound is refused before it is sent") {
  FakeDaemon daemon;
  const std::string path = daemon.folder() + "/large";
  std::ofstream(path) << std::string(limits::kInputBytesMax + 1, 'x');
  const Run run = ctl(daemon, {"invoke-plugin", "hello", "--input-file", path});
  CHECK(run.exit_code == 9);
  CHECK(run.err.find("(INPUT_TOO_LARGE)") != std::string::npos);
  CHECK(daemon.invoke_request.plugin().empty());
}

TEST_CASE("an input of exactly the bound goes through") {
  FakeDaemon daemon;
  const std::string path = daemon.folder() + "/large";
  std::ofstream(path) << std::string(limits::kInputBytesMax, 'x');
  CHECK(ctl(daemon, {"invoke-plugin", "hello", "--input-file", path}).exit_code == 0);
  CHECK(daemon.invoke_request.text().size() == limits::kInputBytesMax);
}

TEST_CASE("an input file that is not there is an invalid argument") {
  FakeDaemon daemon;
  const Run run = ctl(daemon, {"invoke-plugin", "hello", "--input-file", "/nonexistent/file"});
  CHECK(run.exit_code == 7);
  CHECK(run.err == "liongatectl: /nonexistent/file: cannot read it: No such file or directory (INVALID_ARGUMENT)\n");
}

TEST_CASE("--show-log puts the call's log and warnings on stderr") {
  FakeDaemon daemon;
  daemon.on_invoke = [](const auto&, auto& response) {
    response.set_text("out");
    v1::LogEntry& entry = *response.add_logs();
    entry.set_source("log");
    entry.set_level("info");
    entry.set_line("a \033[1mline");
    response.add_warnings("careful");
    return grpc::Status::OK;
  };
  const Run run = ctl(daemon, {"invoke-plugin", "hello", "--input", "x", "--show-log"});
  CHECK(run.out == "out");
  CHECK(run.err.find("log/info  a ?[1mline\n") != std::string::npos);
  CHECK(run.err.find("warning: careful\n") != std::string::npos);
}

TEST_CASE("-o json is the whole reply with proto names and defaults") {
  FakeDaemon daemon;
  daemon.on_invoke = [](const auto&, auto& response) {
    response.set_text("out");
    return grpc::Status::OK;
  };
  const Run run = ctl(daemon, {"-o", "json", "invoke-plugin", "hello", "--input", "x"});
  CHECK(lines_in(run.out) == 1);
  CHECK(run.out.find(R"("text":"out")") != std::string::npos);
  CHECK(run.out.find(R"("execution_time_ms":0)") != std::string::npos);
  CHECK(run.out.find(R"("plugin_id":"")") != std::string::npos);
}

TEST_CASE("--stream prints the parts one after another, or with -o json one message a line") {
  FakeDaemon daemon;
  daemon.stream.resize(3);
  daemon.stream[0].mutable_part()->set_text("one ");
  daemon.stream[1].mutable_part()->set_data("two ");
  daemon.stream[2].mutable_end()->set_text("end");
  CHECK(ctl(daemon, {"invoke-plugin", "hello", "--input", "x", "--stream"}).out == "one two end");
  CHECK(lines_in(ctl(daemon, {"invoke-plugin", "hello", "--input", "x", "--stream", "-o", "json"}).out) == 3);
}

TEST_CASE("a stream that fails after parts keeps the parts and the failure's exit code") {
  FakeDaemon daemon;
  daemon.stream.resize(1);
  daemon.stream[0].mutable_part()->set_text("one");
  daemon.status = status_of(Reason::kPluginCrashed, "killed by signal 9");
  const Run run = ctl(daemon, {"invoke-plugin", "hello", "--input", "x", "--stream"});
  CHECK(run.out == "one");
  CHECK(run.exit_code == 5);
}

TEST_CASE("lifecycle verbs print the state reached") {
  FakeDaemon daemon;
  daemon.plugin.set_state(v1::PLUGIN_STATE_STOPPED);
  CHECK(ctl(daemon, {"stop-plugin", "hello"}).out == "hello: stopped\n");
}

TEST_CASE("list-plugins is an aligned table without colour, or JSON with proto field names") {
  FakeDaemon daemon;
  const Run run = ctl(daemon, {"list-plugins"});
  CHECK(lines_in(run.out) == 2);
  CHECK(run.out.find("\033") == std::string::npos);
  CHECK(run.out.find("STATE") == run.out.find("running", run.out.find('\n')) - run.out.find('\n') - 1);
  CHECK(ctl(daemon, {"-o", "json", "list-plugins"}).out.find(R"("plugin_id":"6fa3a7b4-)") != std::string::npos);
}

TEST_CASE("replay-log sends its filter") {
  FakeDaemon daemon;
  const Run run = ctl(daemon, {"replay-log",
                               "--after-seq",
                               "7",
                               "--plugin",
                               "hello",
                               "--type",
                               "A",
                               "--type",
                               "B,C",
                               "--correlation-id",
                               "c",
                               "--since",
                               "2026-01-31T12:00:00Z",
                               "--limit",
                               "9",
                               "--actor",
                               "uid:7",
                               "--text",
                               "needle",
                               "--explain"});
  CHECK(run.exit_code == 0);
  const v1::EventFilter& filter = daemon.replay_request.filter();
  CHECK(filter.after_seq() == 7);
  CHECK(filter.plugin() == "hello");
  CHECK(filter.types_size() == 3);
  CHECK(filter.correlation_id() == "c");
  CHECK(filter.since().seconds() == 1'769'860'800);
  CHECK(filter.actor() == "uid:7");
  CHECK(filter.text() == "needle");
  CHECK(daemon.replay_request.limit() == 9);
  CHECK(daemon.replay_request.explain());
}

TEST_CASE("replay-log tells of a gap on stderr, and in the stream where programs read it") {
  FakeDaemon daemon;
  daemon.replay.resize(1);
  daemon.replay[0].mutable_gap()->set_first_missing_seq(8);
  daemon.replay[0].mutable_gap()->set_last_missing_seq(10);
  daemon.replay[0].mutable_gap()->set_count(3);
  *daemon.replay[0].add_events() = event(11, "PluginInvoked");
  const std::string told = "liongatectl: replay-log: events 8 to 10 are no longer kept (3 events)\n";
  const Run table = ctl(daemon, {"replay-log", "--after-seq", "7"});
  CHECK(table.err == told);
  CHECK(lines_in(table.out) == 2);
  const Run json = ctl(daemon, {"replay-log", "-o", "jsonl"});
  CHECK(json.err == told);
  CHECK_THAT(json.out, Catch::Matchers::StartsWith(
                           "{\"gap\":{\"first_missing_seq\":\"8\",\"last_missing_seq\":\"10\",\"count\":\"3\"}}\n"
                           "{\"seq\":\"11\""));
  CHECK(cli::cloud_event(daemon.replay[0].gap(), "n-1") ==
        R"({"specversion":"1.0","id":"gap-8-10","source":"/liongate/nodes/n-1","type":"liongate.v1.EventGap",)"
        R"("sequence":"00000000000000000010","datacontenttype":"application/json",)"
        R"("data":{"first_missing_seq":"8","last_missing_seq":"10","count":"3"}})");
}

TEST_CASE("replay-log --audit asks for deeds and denials, and shows who and whether") {
  FakeDaemon daemon;
  daemon.replay.resize(1);
  v1::Event denied = event(2, "PermissionDenied");
  denied.set_actor("uid:7");
  denied.mutable_permission_denied()->set_action("call ListPlugins");
  *daemon.replay[0].add_events() = denied;
  const Run run = ctl(daemon, {"replay-log", "--audit"});
  CHECK(run.out.find("uid:7") != std::string::npos);
  CHECK(run.out.find("call ListPlugins") != std::string::npos);
  CHECK(run.out.find("denied") != std::string::npos);
  const auto& types = daemon.replay_request.filter().types();
  CHECK(std::find(types.begin(), types.end(), "PermissionDenied") != types.end());
  CHECK(std::find(types.begin(), types.end(), "PluginResult") == types.end());
  CHECK(ctl(daemon, {"replay-log", "--audit", "--type", "A"}).exit_code == 2);
}

TEST_CASE("replay-log shows a refused system call with what decided, in text and in JSON") {
  FakeDaemon daemon;
  daemon.replay.resize(1);
  v1::Event denied = event(2, "PermissionDenied");
  v1::PermissionDenied& denial = *denied.mutable_permission_denied();
  denial.set_permission("network");
  denial.set_rule("system call filter: sockets of every family");
  denial.set_message("socket was refused with EAFNOSUPPORT: it needs the permission \"network\"");
  denial.set_action("system call socket");
  denial.set_system_call("socket");
  denial.set_arguments("arg0=0x2, arg1=0x1");
  denial.set_answer("EAFNOSUPPORT");
  denial.set_count(1);
  *daemon.replay[0].add_events() = denied;
  CHECK(ctl(daemon, {"replay-log"}).out.find(denial.message() + " (arg0=0x2, arg1=0x1)") != std::string::npos);
  CHECK(ctl(daemon, {"replay-log", "--audit"}).out.find("system call socket") != std::string::npos);
  const std::string json = ctl(daemon, {"replay-log", "-o", "jsonl"}).out;
  CHECK(json.find(R"("system_call":"socket","arguments":"arg0=0x2, arg1=0x1","answer":"EAFNOSUPPORT","count":"1")") !=
        std::string::npos);
}

TEST_CASE("replay-log has no limit unless given") {
  FakeDaemon daemon;
  ctl(daemon, {"replay-log"});
  CHECK(daemon.replay_request.limit() == 0);
  CHECK_FALSE(daemon.replay_request.filter().has_since());
}

TEST_CASE("replay-log prints one event a line, over batches") {
  FakeDaemon daemon;
  daemon.replay.resize(2);
  *daemon.replay[0].add_events() = event(1, "PluginLoaded");
  *daemon.replay[0].add_events() = event(2, "PluginInvoked");
  *daemon.replay[1].add_events() = event(3, "PluginResult");
  const Run table = ctl(daemon, {"replay-log"});
  CHECK(lines_in(table.out) == 4);
  CHECK(table.out.find("SEQ") == 0);
  CHECK(table.out.find("2023-11-14 22:13:20.000") != std::string::npos);
  const Run json = ctl(daemon, {"replay-log", "-o", "json"});
  CHECK(lines_in(json.out) == 3);
  CHECK_THAT(json.out, Catch::Matchers::StartsWith(R"({"seq":"1","type":"PluginLoaded","plugin_id":"")"));
}

TEST_CASE("a log without a match says so to people and nothing to programs") {
  FakeDaemon daemon;
  CHECK(ctl(daemon, {"replay-log"}).out == "No events to replay.\n");
  CHECK(ctl(daemon, {"replay-log", "-o", "json"}).out.empty());
  CHECK(ctl(daemon, {"replay-log", "--summary"}).out == "No events to replay.\n");
}

TEST_CASE("the summary is exactly the counts of seed 000") {
  FakeDaemon daemon;
  daemon.summary.set_total(12);
  daemon.summary.set_plugins_invoked(3);
  daemon.summary.set_plugins_completed(2);
  daemon.summary.set_plugins_failed(1);
  CHECK(ctl(daemon, {"replay-log", "--summary"}).out ==
        "plugins_invoked: 3\nplugins_completed: 2\nplugins_failed: 1\n"
        "tasks_submitted: 0\ntasks_completed: 0\ntasks_failed: 0\n");
}

TEST_CASE("verify-log exits 1 for damage and names it") {
  FakeDaemon daemon;
  daemon.report.set_intact(true);
  daemon.report.set_events(5);
  CHECK(ctl(daemon, {"verify-log"}).exit_code == 0);
  daemon.report.set_intact(false);
  v1::LogDamage& damage = *daemon.report.add_damages();
  damage.set_segment("0001.log");
  damage.set_offset(4096);
  damage.set_seq(3);
  damage.set_kind("bad_crc");
  const Run run = ctl(daemon, {"verify-log"});
  CHECK(run.exit_code == 1);
  CHECK(run.out.find("damaged: 5 events") == 0);
  CHECK(run.out.find("0001.log  4096    3          bad_crc") != std::string::npos);
  CHECK(ctl(daemon, {"verify-log", "-o", "json"}).exit_code == 1);
}

TEST_CASE("verify-log hands in what was kept elsewhere and tells what it proved") {
  FakeDaemon daemon;
  daemon.report.set_intact(true);
  daemon.report.set_checkpoints(3);
  daemon.report.set_signed_seq(7);
  daemon.report.set_checkpoint_verdict("extends");
  daemon.report.add_notes("events after 7 are in no checkpoint yet");
  const std::string checkpoint = daemon.folder() + "/checkpoint";
  std::ofstream(checkpoint) << "a note\n";
  const std::string key = daemon.folder() + "/key";
  std::ofstream(key) << "";
  const Run run = ctl(daemon, {"verify-log", "--checkpoint", checkpoint, "--key", key});
  CHECK(run.exit_code == 0);
  CHECK(daemon.verify_request.checkpoint() == "a note\n");
  CHECK(daemon.verify_request.key() == "\n");  // an empty file is no key; it is not "no key given"
  CHECK(run.out.find("signed: 3 checkpoints, up to event 7\nproved: the log extends the checkpoint\n"
                     "note: events after 7 are in no checkpoint yet\n") != std::string::npos);
  daemon.report.set_checkpoint_verdict("not_provable");
  CHECK(ctl(daemon, {"verify-log", "--checkpoint", checkpoint}).exit_code == 7);
  daemon.report.set_intact(false);
  CHECK(ctl(daemon, {"verify-log", "--checkpoint", checkpoint}).exit_code == 1);
  CHECK(ctl(daemon, {"verify-log", "--checkpoint", "/no/such/file"}).exit_code == 7);
}

TEST_CASE("what is exported is printed as it is, or written to a file") {
  FakeDaemon daemon;
  CHECK(ctl(daemon, {"export-checkpoint"}).out == "a note\n");
  CHECK(ctl(daemon, {"export-log-key"}).out == "a+key\n");
  const std::string file = daemon.folder() + "/checkpoint";
  std::ofstream(file) << "what was there";
  const Run run = ctl(daemon, {"export-checkpoint", "--file", file});
  CHECK(run.exit_code == 0);
  CHECK(run.out.empty());
  std::ifstream stream(file);
  CHECK(std::string(std::istreambuf_iterator<char>(stream), {}) == "a note\n");
  CHECK(ctl(daemon, {"export-checkpoint", "--file", "/no/such/folder/file"}).exit_code == 1);
  CHECK(ctl(daemon, {"export-checkpoint", "--file", "x", "--state-dir", "y"}).exit_code == 2);
}

TEST_CASE("get-plugin-logs prints lines, safe for a terminal, or one entry a line as JSON") {
  FakeDaemon daemon;
  daemon.logs.resize(1);
  v1::LogEntry& entry = *daemon.logs[0].add_entries();
  entry.set_source("stderr");
  entry.set_line("a\033[31mb");
  entry.set_dropped_before(3);
  const Run run = ctl(daemon, {"get-plugin-logs", "hello"});
  CHECK(run.out.find("... 3 lines lost here ...\n") == 0);
  CHECK(run.out.find("stderr  a?[31mb\n") != std::string::npos);
  CHECK(lines_in(ctl(daemon, {"get-plugin-logs", "hello", "-o", "json"}).out) == 1);
}
