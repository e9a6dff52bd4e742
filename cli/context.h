// What every verb of liongatectl is given: where the daemon is, how to print, and the two streams to print on.
//
// Ownership and thread: made once by run(); verbs run on its thread. The streams outlive it.
#pragma once

#include <iosfwd>
#include <string>

#include "cli/failure.h"
#include "kernel/base/error.h"

namespace liongate::cli {

enum class OutputFormat { kTable, kJson, kCloudEvents };
enum class Terminal { kNo, kYes };
enum class Colour { kNo, kYes };

struct Context {
  std::ostream& out;  // data, nothing else
  std::ostream& err;  // everything else
  std::string socket;
  std::string address;  // HOST:PORT; empty: the socket
  OutputFormat format = OutputFormat::kTable;
  Terminal terminal = Terminal::kNo;  // of `out`
  Colour colour = Colour::kNo;
  std::string verb;

  bool json() const { return format != OutputFormat::kTable; }
};

// Prints `failure` in the form of the contract and returns its exit code.
ExitCode fail(Context& context, const Failure& failure);

// Flushes `out`; output that could not be written (a full disk) is a failure, not a success nobody reads.
ExitCode finish(Context& context);

// A warning on `err`, one line.
void warn(Context& context, const std::string& text);

}  // namespace liongate::cli
