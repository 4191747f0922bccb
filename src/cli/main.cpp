#include "bilens/cli/command_line.h"

int main(int argc, char** argv) { return bilens::run_command_line(argc, argv); }
