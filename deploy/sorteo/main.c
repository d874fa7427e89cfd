/* `sorteo`, the operator's tool: finds the subcommand and leaves the rest to it. */
#include <stdio.h>
#include <string.h>

#include "deploy/sorteo/sample.h"
#include "proto/host/options.h"

struct command {
    const char *name;
    int (*run)(int argc, char **argv); /* argv[0] is the command's name; returns the exit code */
};

static const struct command commands[] = {
    {"sample", sample_main},
};

static const struct program program = {
    .name = "sorteo",
    .arguments = "COMMAND [OPTION...]",
    .summary = "The operator's tool of Sorteo.",
    .details = "Commands:\n"
               "  sample     writes files of made-up bets to try Sorteo with\n\n"
               "'sorteo COMMAND --help' tells a command's options.",
};

int main(int argc, char **argv)
{
    const char *named = argc > 1 ? argv[1] : "";
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(named, commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    int next = options_read(&program, argc, argv); /* --help and --version end the program */
    if (next < argc)
        options_fail(&program, "there is no command '%s'", argv[next]);
    options_fail(&program, "a command is missing");
}
