// sluicectl: the operator's tool. All of it is in run(); this hands it the process's streams.
#include <iostream>

#include "ctrl/sluicectl/cli.h"

int main(int argc, char** argv) {
    std::vector<std::string> arguments(argv + 1, argv + argc);
    return sluice::ctl::run(std::move(arguments), std::cout, std::cerr);
}
