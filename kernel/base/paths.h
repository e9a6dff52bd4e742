// Where one path lies in relation to another, as text: nothing is looked up, so both must be absolute and normal.
//
// Ownership and thread: pure functions.
#pragma once

#include <string_view>

namespace liongate {

// Whether `path` lies inside `folder`; a folder does not lie inside itself.
inline bool is_inside(std::string_view path, std::string_view folder) {
  if (folder.ends_with('/')) folder.remove_suffix(1);
  return path.size() > folder.size() + 1 && path.starts_with(folder) && path[folder.size()] == '/';
}

inline bool is_same_or_inside(std::string_view path, std::string_view folder) {
  return path == folder || is_inside(path, folder);
}

}  // namespace liongate
