// An ordinary dynamic C++ program: threads, exceptions, locales, a file. It must notice nothing.
#include <atomic>
#include <fstream>
#include <iostream>
#include <regex>
#include <stdexcept>
#include <thread>
#include <vector>

int main() {
  std::atomic<int> sum{0};
  std::vector<std::thread> threads;
  for (int index = 1; index <= 8; ++index) threads.emplace_back([&sum, index] { sum += index; });
  for (std::thread& thread : threads) thread.join();
  try {
    throw std::runtime_error("caught");
  } catch (const std::exception& error) {
    std::cout << error.what() << ' ';
  }
  std::ofstream("/tmp/file") << "written";
  std::string text;
  std::ifstream("/tmp/file") >> text;
  std::cout << text << ' ' << sum << ' ' << std::regex_match("liongate", std::regex("l.*e")) << '\n';
}
