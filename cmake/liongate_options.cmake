# Compiler settings shared by all of our targets, and the few functions the folders use to declare themselves.

add_library(liongate_options INTERFACE)
target_compile_options(liongate_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor -Woverloaded-virtual
  -Wno-missing-field-initializers -fno-omit-frame-pointer)
# Not with sanitizers: under their instrumentation compilers see uninitialised memory in the standard library. The
# release build has no such excuse.
if(LIONGATE_WERROR AND NOT LIONGATE_SANITIZE)
  target_compile_options(liongate_options INTERFACE -Werror)
endif()
target_compile_definitions(liongate_options INTERFACE _GNU_SOURCE LIONGATE_VERSION="${PROJECT_VERSION}")
target_include_directories(liongate_options INTERFACE ${CMAKE_SOURCE_DIR})

if(LIONGATE_SANITIZE STREQUAL "address")
  set(LIONGATE_SANITIZE_FLAGS -fsanitize=address,undefined -fno-sanitize-recover=all)
  if(LIONGATE_FUZZ)
    # What guides a fuzzer; the tests of the same build carry it along unused, so that nothing is compiled twice.
    list(APPEND LIONGATE_SANITIZE_FLAGS -fsanitize=fuzzer-no-link)
  endif()
elseif(LIONGATE_SANITIZE STREQUAL "thread")
  set(LIONGATE_SANITIZE_FLAGS -fsanitize=thread)
  # ThreadSanitizer does not know fences; without Asio's it sees the locks that order the same things.
  add_compile_definitions(BOOST_ASIO_DISABLE_FENCED_BLOCK)
endif()
if(LIONGATE_SANITIZE_FLAGS)
  add_compile_options(${LIONGATE_SANITIZE_FLAGS})
  add_link_options(${LIONGATE_SANITIZE_FLAGS})
endif()

# liongate_library(NAME SOURCES... ) declares a static library of ours with the shared options.
function(liongate_library name)
  add_library(${name} STATIC ${ARGN})
  target_link_libraries(${name} PUBLIC liongate_options)
endfunction()

# liongate_unsanitized(TARGET): the launcher and the plugins run under seccomp and in an empty root, where the
# sanitizers' runtimes cannot work.
function(liongate_unsanitized name)
  if(LIONGATE_SANITIZE_FLAGS)
    target_compile_options(${name} PRIVATE -fno-sanitize=all)
    target_link_options(${name} PRIVATE -fno-sanitize=all)
  endif()
endfunction()

# liongate_ignore_gcc12_ghosts(TARGET): at -O2 gcc 12 sees overflows in std::string's operator+ and uninitialised
# members in std::variant that are not there (GCC PR 105329, 105651). ASan, UBSan and clang-tidy look where these would.
function(liongate_ignore_gcc12_ghosts name)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(${name} PRIVATE -Wno-array-bounds -Wno-maybe-uninitialized -Wno-stringop-overflow)
  endif()
endfunction()

# liongate_compiled_quickly(TARGET): for tests, whose own code hardly runs; what they test stays optimised. Not where
# they are sanitized: there they run long enough that the optimiser pays.
function(liongate_compiled_quickly name)
  if(NOT LIONGATE_SANITIZE)
    target_compile_options(${name} PRIVATE -O0)
  endif()
endfunction()
