# What `cmake --install` puts where: the binary, the executable of the MQTT processes, the example configuration, the service and
# its user, the manual pages, the completion for bash, the documents.
include(GNUInstallDirs)
# The binary looks for the executable at ../libexec/ecs-mqtt-bridge/mqtt from its own folder.
install(TARGETS ecs-mqtt-bridge RUNTIME DESTINATION bin)
install(TARGETS mqtt-program RUNTIME DESTINATION libexec/ecs-mqtt-bridge)
install(FILES config/ecs-mqtt-bridge.conf config/minimal.conf
        DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)
install(FILES deploy/systemd/ecs-mqtt-bridge.service DESTINATION lib/systemd/system)
install(FILES deploy/systemd/ecs-mqtt-bridge.sysusers DESTINATION lib/sysusers.d RENAME ecs-mqtt-bridge.conf)
install(FILES deploy/completion/ecs-mqtt-bridge.bash DESTINATION share/bash-completion/completions RENAME ecs-mqtt-bridge)
install(FILES ${PROJECT_BINARY_DIR}/manual/ecs-mqtt-bridge.8.gz DESTINATION share/man/man8)
install(FILES ${PROJECT_BINARY_DIR}/manual/ecs-mqtt-bridge.conf.5.gz DESTINATION share/man/man5)
# The documents keep their folders, so that their links work. LICENSE is not among them in Debian's package: copyright names it.
file(GLOB_RECURSE documents CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}
     bridge/*.md config/*.md config/asyncapi.yaml config/schema/*.json deploy/*.md deploy/*.service deploy/*.yml deploy/*.json deploy/*.svg deploy/recipes/*
     deploy/container/Dockerfile* deploy/container/*.yaml deploy/kubernetes/*.yaml deploy/kubernetes/*.conf tests/*.md tests/package/run tests/container/run)
foreach(document README.md ${documents})
  get_filename_component(folder ${document} DIRECTORY)
  install(FILES ${document} DESTINATION ${CMAKE_INSTALL_DOCDIR}/${folder})
endforeach()
