# What `cmake --install` puts where: the binary, the executable of the MQTT processes, the example configuration, the service, the documents,
# the licence.
include(GNUInstallDirs)
# The binary looks for the executable at ../libexec/ecs-mqtt-bridge/mqtt from its own folder.
install(TARGETS ecs-mqtt-bridge RUNTIME DESTINATION bin)
install(TARGETS mqtt-program RUNTIME DESTINATION libexec/ecs-mqtt-bridge)
install(FILES config/ecs-mqtt-bridge.conf config/minimal.conf
        DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)
install(FILES deploy/systemd/ecs-mqtt-bridge.service DESTINATION lib/systemd/system)
install(FILES README.md LICENSE deploy/guide.md deploy/tls.md deploy/credentials.md deploy/audit.md
              deploy/SECURITY.md config/settings.md config/errors.md config/events.md
              config/metrics.md
        DESTINATION ${CMAKE_INSTALL_DOCDIR})
