/* SPDX-License-Identifier: MIT */
/* The command's entry: the table of subcommands, and what is the same for all of them. */
#include "args.h"
#include "command.h"
#include "print.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

const struct lb_command *const lb_commands[] = {
	&lb_command_serve,
	&lb_command_send,
	&lb_command_resolve,
	&lb_command_ledger,
	&lb_command_pipe,
	&lb_command_lab,
	&lb_command_help,
	NULL,
};

const struct lb_command *lb_command_find(const char *name)
{
	const struct lb_command *nearest = NULL;
	unsigned least = 4;

	for (const struct lb_command *const *c = lb_commands; *c != NULL; c++) {
		unsigned distance = lb_args_distance(name, (*c)->name);

		if (distance == 0)
			return *c;
		if (distance < least && distance < strlen((*c)->name)) {
			least = distance;
			nearest = *c;
		}
	}
	if (nearest != NULL)
		lb_print_line(STDERR_FILENO,
			"lastbyte: there is no command '%s'; did you mean '%s'? 'lastbyte help' lists all",
			name, nearest->name);
	else
		lb_print_line(
			STDERR_FILENO, "lastbyte: there is no command '%s'; 'lastbyte help' lists all", name);
	return NULL;
}

/* Makes sure that 0, 1 and 2 are taken: otherwise a socket or a ledger would get one of these numbers, and our
 * lines would be written into it. Standard input is opened for writing, so that reading it is an error and not
 * the end of an empty file. */
static void keep_standard_fds(void)
{
	for (int fd = 0; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF &&
			open("/dev/null", fd == 0 ? O_WRONLY : O_RDWR) != fd)
			_exit(LB_EXIT_USAGE);
	}
}

int main(int argc, char **argv)
{
	const struct lb_command *command;

	keep_standard_fds();
	signal(SIGPIPE, SIG_IGN);
	if (argc < 2) {
		lb_help_overview(STDERR_FILENO);
		return LB_EXIT_USAGE;
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)
		return lb_print_line(STDOUT_FILENO, "lastbyte %s", LB_VERSION) == 0 ? 0 : LB_EXIT_USAGE;
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
		command = &lb_command_help;
	else
		command = lb_command_find(argv[1]);
	return command != NULL ? command->run(argc - 1, argv + 1) : LB_EXIT_USAGE;
}
