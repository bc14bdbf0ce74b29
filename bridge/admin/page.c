/* The files of the page /, as they are in the executable. */
#include "pages.h"

#include "base/buf.h"
#include "page_files.h"

#define FILE_PAGE(function, bytes)                                          \
    unsigned function(const struct admin_options *options, struct buf *out) \
    {                                                                       \
        (void)options;                                                      \
        buf_append(out, slice_of(bytes, sizeof(bytes)));                    \
        return 200;                                                         \
    }

FILE_PAGE(admin_page_html, page_html)
FILE_PAGE(admin_page_css, page_css)
FILE_PAGE(admin_page_js, page_js)
FILE_PAGE(admin_page_words, words_js)
FILE_PAGE(admin_page_icon, icon_svg)
