#!/usr/bin/python3
"""Each rule of tests/tidy finds what it is there for, and leaves alone what is right.

Usage: tests/tidy/rules_test.py      Exit codes: 0 all rules work; 1 one does not.
"""

import unittest

import dependency_law
import proto_lint
import source_rules
from findings import Source


def messages(found):
    return [finding.message for finding in found]


class DependencyLaw(unittest.TestCase):
    def check(self, path, *lines, others=()):
        sources = [Source.of(path, "\n".join(lines)), *[Source.of(other, "// x") for other in others]]
        return messages(dependency_law.check_dependency_law(sources))

    def test_base_knows_nothing_of_ours(self):
        self.assertEqual(self.check("kernel/base/ids.h", '#include "kernel/base/sys.h"', "#include <string>"), [])
        self.assertEqual(len(self.check("kernel/base/ids.h", '#include "kernel/event_log/event_log.h"')), 1)
        self.assertEqual(len(self.check("kernel/base/ids.h", '#include "liongate/v1/frame.pb.h"')), 1)

    def test_kernel_sees_events_and_frames_but_no_service(self):
        self.assertEqual(self.check("kernel/registry/registry.h", '#include "liongate/v1/event.pb.h"'), [])
        service = '#include "liongate/v1/plugin_service.pb.h"'
        self.assertEqual(len(self.check("kernel/registry/registry.h", service)), 1)
        for header in ("grpcpp/grpcpp.h", "yaml-cpp/yaml.h", "seccomp.h", "toml++/toml.h", "boost/beast/http.hpp"):
            self.assertEqual(len(self.check("kernel/registry/registry.h", f"#include <{header}>")), 1, header)
        self.assertEqual(self.check("kernel/orchestrator/actor.h", "#include <boost/asio/io_context.hpp>"), [])

    def test_sandbox_knows_base_only(self):
        self.assertEqual(self.check("sandbox/launcher.cpp", '#include "kernel/base/sys.h"'), [])
        self.assertEqual(len(self.check("sandbox/launcher.cpp", '#include "kernel/registry/registry.h"')), 1)
        self.assertEqual(len(self.check("sandbox/launcher.cpp", '#include "liongate/v1/frame.pb.h"')), 1)

    def test_cli_and_plugins_keep_out_of_the_kernel(self):
        self.assertEqual(len(self.check("cli/main.cpp", '#include "kernel/event_log/event_log.h"')), 1)
        self.assertEqual(len(self.check("cli/main.cpp", '#include "daemon/server.h"')), 1)
        self.assertEqual(len(self.check("plugins/hello/hello.cpp", '#include "kernel/base/result.h"')), 1)
        self.assertEqual(self.check("plugins/hello/hello.cpp", "#include <liongate/plugin.h>"), [])

    def test_a_relative_include_is_followed(self):
        found = self.check("sandbox/launcher.cpp", '#include "../cli/main.h"', others=["cli/main.h"])
        self.assertEqual(len(found), 1)

    def test_frames_import_nothing(self):
        frame = Source.of("proto/liongate/v1/frame.proto", 'import "google/protobuf/timestamp.proto";')
        self.assertEqual(len(dependency_law.check_proto_imports([frame])), 1)


class SourceForm(unittest.TestCase):
    def test_threads_of_the_log_can_be_simulated(self):
        line = "std::mutex mutex_;"
        for path, findings in (("kernel/event_log/catalog.h", 1), ("kernel/event_log/runtime.h", 0), ("daemon/a.h", 0)):
            found = source_rules.check_simulated_threads([Source.of(path, line)])
            self.assertEqual(len(found), findings, path)
        ours = Source.of("kernel/event_log/a.h", "runtime::Mutex mutex_;")
        self.assertEqual(source_rules.check_simulated_threads([ours]), [])

    def test_words(self):
        bad = Source.of("kernel/a.cpp", "// " + "TO" + "DO later")
        good = Source.of("kernel/a.cpp", 'mkdtemp("/tmp/aXXXXXX");')
        self.assertEqual(len(source_rules.check_words([bad])), 1)
        self.assertEqual(source_rules.check_words([good]), [])

    def test_names(self):
        for path in ("kernel/string_utils.cpp", "kernel/misc.h", "cli/Manager.cpp", "kernel/registry_manager2.h"):
            self.assertTrue(source_rules.check_file_names([Source.of(path, "")]), path)
        self.assertEqual(source_rules.check_file_names([Source.of("kernel/registry.cpp", "")]), [])

    def test_lengths(self):
        self.assertEqual(len(source_rules.check_line_lengths([Source.of("a.cpp", "x" * 121)])), 1)
        self.assertEqual(source_rules.check_line_lengths([Source.of("a.cpp", "x" * 120)]), [])
        self.assertEqual(len(source_rules.check_file_lengths([Source.of("a.cpp", "x\n" * 601)])), 1)
        self.assertEqual(source_rules.check_file_lengths([Source.of("a.cpp", "x\n" * 600)]), [])

    def test_header_openings(self):
        self.assertEqual(len(source_rules.check_header_openings([Source.of("a.h", "#include <x>")])), 2)
        self.assertEqual(source_rules.check_header_openings([Source.of("a.h", "// A thing.\n#pragma once")]), [])

    def test_cpp_functions_are_found(self):
        text = "\n".join(["namespace a {",
                          "int first(int x) {", "  if (x) {", "    return 1;", "  }", "  return 0;", "}",
                          "Second::Second(int x)", "    : x_(x), y_{1} {", "  go();", "}",
                          "struct T {", "  int get() const {", "    return 1;", "  }", "};", "}  // namespace a"])
        found = {name: last - first + 1 for name, first, last in source_rules.cpp_functions(Source.of("a.cpp", text))}
        self.assertEqual(found["first"], 6)
        self.assertEqual(found["get"], 3)
        self.assertIn("Second::Second", found)

    def test_a_long_function_is_found_and_ratcheted(self):
        source = Source.of("kernel/a.cpp", "void long_one() {\n" + "  go();\n" * 80 + "}")
        self.assertEqual(len(source_rules.check_function_lengths([source], {})), 1)
        self.assertEqual(source_rules.check_function_lengths([source], {"kernel/a.cpp::long_one": 82}), [])
        self.assertEqual(len(source_rules.check_function_lengths([source], {"kernel/a.cpp::long_one": 81})), 1)
        self.assertEqual(len(source_rules.check_function_lengths([], {"kernel/a.cpp::gone": 82})), 1)

    def test_room_sizes(self):
        bound = source_rules.ROOM_LINES_MAX["cli"]
        self.assertEqual(len(source_rules.check_room_sizes([Source.of("cli/a.cpp", "x\n" * bound)])), 1)
        self.assertEqual(source_rules.check_room_sizes([Source.of("cli/a.cpp", "x\n" * (bound - 1))]), [])

    def test_scripts_say_how_they_are_used(self):
        self.assertEqual(len(source_rules.check_script_openings([Source.of("scripts/x", "#!/bin/sh\n# Does x.")])), 2)


class ProtoLint(unittest.TestCase):
    GOOD = """// A service.
syntax = "proto3";
package liongate.v1;
enum Mode {
  MODE_UNSPECIFIED = 0;
  MODE_FAST = 1;
}
service ThingService {
  rpc GetThing(GetThingRequest) returns (stream GetThingResponse);
}
message GetThingRequest {}
message GetThingResponse {
  oneof kind {
    string text = 1;
  }
  map<string, string> metadata = 2;
}
"""

    def check(self, text):
        return messages(proto_lint.check_proto([Source.of("proto/liongate/v1/thing.proto", text)]))

    def test_good(self):
        self.assertEqual(self.check(self.GOOD), [])

    def test_each_rule_fails_on_its_fault(self):
        for right, wrong in [("// A service.\n", ""), ("liongate.v1;", "liongate;"),
                             ("MODE_UNSPECIFIED = 0", "MODE_SLOW = 0"), ("MODE_FAST", "FAST"),
                             ("ThingService {", "Things {"), ("(GetThingRequest)", "(Query)"),
                             ("(stream GetThingResponse)", "(Thing)"), ("string text", "string Text"),
                             ("oneof kind", "oneof Kind"), ("metadata = 2", "metaData = 2"),
                             ("message GetThingRequest", "message get_thing_request")]:
            self.assertIn(right, self.GOOD)
            self.assertTrue(self.check(self.GOOD.replace(right, wrong)), f"{right!r} -> {wrong!r}")


if __name__ == "__main__":
    unittest.main()
