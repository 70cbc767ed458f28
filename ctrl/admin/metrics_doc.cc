// Prints docs/metrics.md: build/ctrl/admin/metrics_doc > docs/metrics.md
#include <cstdio>

#include "ctrl/admin/metrics_catalogue.h"

int main() {
    const std::string text = sluice::admin::metrics_document();
    return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0 ? 0 : 1;
}
