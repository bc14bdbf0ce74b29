# What `cmake --install` puts where: the binary, the example configuration, the service, the documents,
# the licence.
include(GNUInstallDirs)
install(TARGETS ecs-mqtt-bridge RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES config/ecs-mqtt-bridge.conf config/minimal.conf
        DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)
install(FILES deploy/systemd/ecs-mqtt-bridge.service DESTINATION lib/systemd/system)
install(FILES README.md LICENSE deploy/guide.md deploy/tls.md deploy/credentials.md deploy/audit.md
              deploy/SECURITY.md config/settings.md config/errors.md config/events.md
        DESTINATION ${CMAKE_INSTALL_DOCDIR})
