// Prints docs/errors.md: error_codes, or error_codes FILE to write it.
// In: the table of codes. Out: Markdown.
// Owns nothing.
// model_test compares the page with the table.
#include <fstream>
#include <iostream>

#include "ctrl/model/codes.h"

int main(int argc, char** argv) {
    if (argc < 2) {
        std::cout << sluice::errors_markdown();
        return 0;
    }
    std::ofstream out(argv[1]);
    out << sluice::errors_markdown();
    return out.good() ? 0 : 1;
}
