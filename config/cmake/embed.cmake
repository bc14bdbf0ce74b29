# Writes a C header with the bytes of each file as an array: icon.svg becomes icon_svg.
# Usage: cmake -D OUTPUT=HEADER -D FILES=FILE;FILE -P embed.cmake
set(text "/* Generated from the files of the page by config/cmake/embed.cmake. */\n")
foreach(file ${FILES})
  get_filename_component(name ${file} NAME)
  string(MAKE_C_IDENTIFIER ${name} name)
  file(READ ${file} bytes HEX)
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
  string(REGEX REPLACE "(................................................................................)" "\\1\n" bytes "${bytes}")
  string(APPEND text "static const unsigned char ${name}[] = {\n${bytes}};\n")
endforeach()
file(WRITE ${OUTPUT} "${text}")
