// Prints the field table of docs/istio.md: istio_fields, or istio_fields FILE to write it between FILE's markers;
// istio_fields --paths prints every field with its type, for the comparison with the published schemas.
// In: the API's descriptors. Out: Markdown.
// Owns nothing.
// The markers are HTML comments: "<!-- fields -->" and "<!-- end of fields -->".
#include <fstream>
#include <iostream>
#include <sstream>
#include <string_view>

#include "ctrl/model/fields.h"

int main(int argc, char** argv) {
    const std::string table = sluice::model::fields_markdown();
    if (argc < 2) {
        std::cout << table;
        return 0;
    }
    if (std::string_view(argv[1]) == "--paths") {
        std::cout << sluice::model::fields_paths();
        return 0;
    }
    std::ifstream in(argv[1]);
    std::stringstream buffer;
    buffer << in.rdbuf();
    std::string text = buffer.str();
    const std::string begin = "<!-- fields -->\n";
    const size_t from = text.find(begin);
    const size_t to = text.find("<!-- end of fields -->");
    if (from == std::string::npos || to == std::string::npos || to < from) {
        std::cerr << argv[1] << ": no markers\n";
        return 1;
    }
    text.replace(from + begin.size(), to - from - begin.size(), table);
    std::ofstream(argv[1]) << text;
    return 0;
}
