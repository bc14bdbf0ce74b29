# Compiler and linker options of every target: hardening is on, asserts stay in, warnings are errors with BRIDGE_WERROR.
include(CheckCCompilerFlag)
include(CheckPIESupported)
check_pie_supported(LANGUAGES C)

add_compile_definitions(_GNU_SOURCE)
add_compile_options(-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes
                    -Wmissing-prototypes -Wformat=2 -fno-common $<$<BOOL:${BRIDGE_WERROR}>:-Werror>)

# assert() guards our own bugs in every build type: NDEBUG is never defined.
foreach(type RELEASE RELWITHDEBINFO MINSIZEREL)
  string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_${type} "${CMAKE_C_FLAGS_${type}}")
endforeach()

if(BRIDGE_CRASH_POINTS)
  add_compile_definitions(BRIDGE_CRASH_POINTS)
endif()

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
  # Not every processor has the last one.
  foreach(option stack-protector-strong stack-clash-protection cf-protection=full)
    string(MAKE_C_IDENTIFIER "BRIDGE_HAS_${option}" is_known)
    check_c_compiler_flag(-f${option} ${is_known})
    if(${is_known})
      add_compile_options(-f${option})
    endif()
  endforeach()
  if(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
    # The same source gives the same bytes in every folder.
    add_compile_options(-ffile-prefix-map=${PROJECT_SOURCE_DIR}/= -ffile-prefix-map=${PROJECT_BINARY_DIR}/=)
    if(CMAKE_C_COMPILER_ID STREQUAL "GNU" AND CMAKE_C_COMPILER_VERSION VERSION_GREATER_EQUAL 12)
      set(fortify 3)
    else()
      set(fortify 2)
    endif()
    add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=${fortify})
  endif()
endif()
add_link_options(-Wl,-z,relro,-z,now,-z,noexecstack)
