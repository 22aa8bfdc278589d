/* SPDX-License-Identifier: MIT */
/* `lastbyte help`: the overview, one command's page, and the table of exit codes out of outcomes.def. */
#include "args.h"
#include "command.h"
#include <stdio.h>
#include <unistd.h>

static const struct {
	const char *word, *text;
	enum lb_verdict verdict;
	int code;
} exits[] = {
#define LB_VERDICT(name, word, exit_code, text) {word, text, LB_VERDICT_##name, exit_code},
#include <lastbyte/outcomes.def>
};

void lb_help_exits(int fd)
{
	dprintf(fd, "\nExit codes:\n");
	for (int code = 0; code < 8; code++) {
		if (code == LB_EXIT_USAGE)
			dprintf(fd, "  %d  %-14s %s\n", code, "usage",
				"nothing was done: the message says what to change");
		for (size_t i = 0; i < sizeof exits / sizeof *exits; i++) {
			/* a delivery is never unproven: that is for connections of other protocols */
			if (exits[i].code == code && exits[i].verdict != LB_VERDICT_UNPROVEN)
				dprintf(fd, "  %d  %-14s %s\n", code, exits[i].word, exits[i].text);
		}
	}
}

void lb_help_command(int fd, const struct lb_command *command)
{
	dprintf(fd, "usage: lastbyte %s %s\n\n%s.\n\n%s", command->name, command->synopsis, command->summary,
		command->details);
	if (command->more != NULL)
		command->more(fd);
}

void lb_help_overview(int fd)
{
	dprintf(fd, "usage: lastbyte COMMAND ...\n\n");
	for (const struct lb_command *const *c = lb_commands; *c != NULL; c++)
		dprintf(fd, "  %-8s %s\n", (*c)->name, (*c)->summary);
	dprintf(fd, "\n  --version  print the version\n\n"
		    "'lastbyte help COMMAND' says everything about one of them.\n");
	lb_help_exits(fd);
}

static int help(int argc, char **argv)
{
	const struct lb_command *command;

	if (argc < 2) {
		lb_help_overview(STDOUT_FILENO);
		return 0;
	}
	command = lb_command_find(argv[1]);
	if (command == NULL)
		return LB_EXIT_USAGE;
	lb_help_command(STDOUT_FILENO, command);
	return 0;
}

const struct lb_command lb_command_help = {
	.name = "help",
	.synopsis = "[COMMAND]",
	.summary = "Says what there is, or everything about one command",
	.details = "Exit code 0, or 2 when there is no such command.\n",
	.run = help,
};
