// Goal: the first line of a script means what the kernel takes it to mean.
#include "sandbox/script_line.h"

#include <catch2/catch.hpp>

using namespace liongate::sandbox;

TEST_CASE("interpreter and its one argument are read as the kernel reads them") {
  CHECK(parse_script_line("#!/bin/sh\necho")->interpreter == "/bin/sh");
  CHECK(parse_script_line("#! \t/usr/bin/env  python3 -I \t\nx")->argument == "python3 -I");
  CHECK(parse_script_line("#!/bin/sh")->argument.empty());
}

TEST_CASE("what names no interpreter is refused") {
  CHECK_FALSE(parse_script_line("").has_value());
  CHECK_FALSE(parse_script_line("#").has_value());
  CHECK_FALSE(parse_script_line("#!").has_value());
  CHECK_FALSE(parse_script_line("#!  \t\n/bin/sh").has_value());
  CHECK_FALSE(parse_script_line("/bin/sh\n#!").has_value());
  CHECK_FALSE(parse_script_line(std::string_view("#!/bin\0/sh\n", 11)).has_value());
  CHECK_FALSE(parse_script_line("#!/" + std::string(kScriptLineBytesMax - 3, 'a')).has_value());
}
