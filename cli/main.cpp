// liongatectl: hands the command line to run() and its result to the shell.
#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <iostream>

#include "cli/program.h"

int main(int argc, char** argv) {
  using namespace liongate;
  std::ios::sync_with_stdio(false);
  const bool is_terminal = ::isatty(STDOUT_FILENO) == 1;
  const char* no_colour = std::getenv("NO_COLOR");
  const bool wants_colour = is_terminal && (no_colour == nullptr || *no_colour == '\0');
  try {
    const ExitCode code = cli::run({argv + (argc > 0 ? 1 : 0), argv + argc}, std::cout, std::cerr,
                                   is_terminal ? cli::Terminal::kYes : cli::Terminal::kNo,
                                   wants_colour ? cli::Colour::kYes : cli::Colour::kNo);
    // Leaving without running gRPC's static destructors saves milliseconds, and nothing is left to save.
    std::cout.flush();
    std::cerr.flush();
    std::_Exit(static_cast<int>(code));
  } catch (const std::exception& error) {
    std::cerr << "liongatectl: " << error.what() << " (INTERNAL)\n";
    return static_cast<int>(ExitCode::kFailure);
  }
}
