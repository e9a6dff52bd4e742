// tally: an observer in C++. It counts the events it is shown.
#include <liongate/observer.h>

#include <cstdio>

class Tally : public liongate::plugin::PluginBase {
 public:
  using PluginBase::PluginBase;
  void on_event(const liongate::plugin::Event&) override { ++count_; }
  void on_shutdown() override { std::printf("%s saw %llu events\n", plugin_id().c_str(), count_); }

 private:
  unsigned long long count_ = 0;
};

int main() {
  return liongate::plugin::run_observer<Tally>();
}
