# Compiler and linker options of every target: warnings are errors, hardening is on, asserts stay in.
include(CheckPIESupported)
check_pie_supported(LANGUAGES C)

add_compile_definitions(_GNU_SOURCE)
add_compile_options(-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes
                    -Wmissing-prototypes -Wformat=2 -Werror -fno-common)

# assert() guards our own bugs in every build type: NDEBUG is never defined.
foreach(type RELEASE RELWITHDEBINFO MINSIZEREL)
  string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_${type} "${CMAKE_C_FLAGS_${type}}")
endforeach()

# The code under a fuzz target reports which way it took, so the layers are built for it as well.
if(BRIDGE_FUZZ)
  if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "BRIDGE_FUZZ needs clang: -DCMAKE_C_COMPILER=clang")
  endif()
  if(BRIDGE_SANITIZE AND NOT BRIDGE_SANITIZE STREQUAL "address,undefined")
    message(FATAL_ERROR "BRIDGE_FUZZ brings its own sanitizers: leave BRIDGE_SANITIZE empty")
  endif()
  set(BRIDGE_SANITIZE "fuzzer-no-link,address,undefined")
endif()

if(BRIDGE_SANITIZE)
  add_compile_options(-fsanitize=${BRIDGE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${BRIDGE_SANITIZE})
else()
  add_compile_options(-fstack-protector-strong -fstack-clash-protection -fcf-protection=full)
  if(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
    add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
  endif()
endif()
add_link_options(-Wl,-z,relro,-z,now,-z,noexecstack)
