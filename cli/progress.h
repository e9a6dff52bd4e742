// One line on stderr about something that takes long: nothing in the first two seconds, and nothing at all where
// nobody looks at it.
//
// Ownership and thread: made by a verb on its thread, which may say how far it is; a thread of its own writes the line
// and takes it away at the end.
#pragma once

#include <condition_variable>
#include <mutex>
#include <ostream>
#include <string>
#include <thread>

#include "cli/context.h"

namespace liongate::cli {

class Progress {
 public:
  // `shown` is whether stderr is a terminal that data on stdout does not use as well.
  Progress(Context& context, std::string subject, Terminal shown);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // "45 %, event 450 of 1000": shown with the next line.
  void say(std::string how_far);
  // Takes the line away: what the verb prints comes next.
  void end();

 private:
  void run();

  std::ostream& err_;
  const std::string subject_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::string how_far_;
  bool shown_ = false;
  bool end_ = false;
  std::thread thread_;
};

// Whether stderr is a terminal.
Terminal error_terminal();

}  // namespace liongate::cli
