# The Debian package: `cpack -G DEB` in the build folder, or deploy/package. With SOURCE_DATE_EPOCH the same source gives the
# same bytes in every folder.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_VENDOR "ecs-mqtt-bridge")
set(CPACK_PACKAGE_CONTACT "The maintainers of ecs-mqtt-bridge <maintainers@ecs-mqtt-bridge.invalid>")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "systemd | systemd-standalone-sysusers | systemd-sysusers, ca-certificates")
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# Below the project's own description; cpack indents each line.
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"The bridge subscribes to command topics of an MQTT broker. It records each
command in a durable ledger before it acknowledges the message, calls the cloud
API (StartDiskReplicaGroup or StopDiskReplicaGroup), records the outcome, and
publishes the reply until the broker has acknowledged it. One ClientToken has at
most one effect.")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
    "${PROJECT_SOURCE_DIR}/deploy/debian/postinst;${PROJECT_SOURCE_DIR}/deploy/debian/prerm;${PROJECT_SOURCE_DIR}/deploy/debian/postrm;${PROJECT_BINARY_DIR}/conffiles")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
file(WRITE ${PROJECT_BINARY_DIR}/conffiles "/etc/ecs-mqtt-bridge/bridge.conf\n")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)

# What only the package has: the configuration of the service in /etc, and Debian's own documents.
if(DEFINED ENV{SOURCE_DATE_EPOCH})
  set(BRIDGE_PACKAGE_TIME $ENV{SOURCE_DATE_EPOCH})
else()
  string(TIMESTAMP BRIDGE_PACKAGE_TIME "%s" UTC)
endif()
set(BRIDGE_DEBIAN_DIR ${PROJECT_BINARY_DIR}/debian)
execute_process(COMMAND date -u -R -d @${BRIDGE_PACKAGE_TIME} OUTPUT_VARIABLE BRIDGE_CHANGELOG_DATE OUTPUT_STRIP_TRAILING_WHITESPACE)
configure_file(deploy/debian/changelog ${BRIDGE_DEBIAN_DIR}/changelog @ONLY)
execute_process(COMMAND gzip -9 -n -f -k ${BRIDGE_DEBIAN_DIR}/changelog COMMAND_ERROR_IS_FATAL ANY)
install(FILES config/minimal.conf DESTINATION /etc/ecs-mqtt-bridge RENAME bridge.conf COMPONENT package EXCLUDE_FROM_ALL)
install(FILES ${BRIDGE_DEBIAN_DIR}/changelog.gz deploy/debian/copyright
        DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT package EXCLUDE_FROM_ALL)
set(CPACK_COMPONENTS_ALL Unspecified package)
set(CPACK_COMPONENTS_GROUPING ALL_COMPONENTS_IN_ONE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
include(CPack)
