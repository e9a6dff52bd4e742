# Install rules that belong to no single room: systemd files, man pages, documents. And the target `programs`: what
# people run, without the tests, for `make demo`.
#
# Included last by CMakeLists.txt. `make install DESTDIR=` uses the prefix /usr, which the units expect.

install(FILES systemd/liongated.service systemd/liongate-launcher.socket systemd/liongate-launcher@.service
  systemd/liongate-netgate.socket systemd/liongate-netgate@.service
  DESTINATION lib/systemd/system)
install(FILES systemd/user/liongated.service DESTINATION lib/systemd/user)
install(FILES systemd/sysusers.d/liongate.conf DESTINATION lib/sysusers.d)
install(FILES systemd/tmpfiles.d/liongate.conf DESTINATION lib/tmpfiles.d)

# What a room has not brought yet is not installed.
foreach(section 1 5 7 8)
  file(GLOB pages CONFIGURE_DEPENDS docs/man/*.${section})
  if(pages)
    install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
  endif()
endforeach()
file(GLOB documents CONFIGURE_DEPENDS README.md CHANGELOG.md LICENSE docs/*.md)
install(FILES ${documents} DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES config/liongated.yaml config/policy.yaml config/plugins.yaml DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)

# liongate_targets_below(OUT FOLDER): every target that FOLDER and the folders below it declare.
function(liongate_targets_below out folder)
  get_property(targets DIRECTORY ${folder} PROPERTY BUILDSYSTEM_TARGETS)
  get_property(children DIRECTORY ${folder} PROPERTY SUBDIRECTORIES)
  foreach(child ${children})
    liongate_targets_below(more ${child})
    list(APPEND targets ${more})
  endforeach()
  set(${out} ${targets} PARENT_SCOPE)
endfunction()

add_custom_target(programs)
get_property(folders DIRECTORY ${CMAKE_SOURCE_DIR} PROPERTY SUBDIRECTORIES)
foreach(room sandbox netgate daemon cli sdk/cpp runtimes plugins)
  if("${CMAKE_SOURCE_DIR}/${room}" IN_LIST folders)
    liongate_targets_below(targets ${CMAKE_SOURCE_DIR}/${room})
    if(targets)
      add_dependencies(programs ${targets})
    endif()
  endif()
endforeach()
