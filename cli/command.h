/* SPDX-License-Identifier: MIT */
/* The table of subcommands: one file each. */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

struct lb_command {
	const char *name;
	const char *synopsis;              /* what follows the name */
	const char *summary;               /* one line */
	const char *details;               /* options with their defaults, for `lastbyte help NAME` */
	void (*more)(int fd);              /* what follows the details, or NULL */
	int (*run)(int argc, char **argv); /* argv[0] is the name; returns the exit code */
};

extern const struct lb_command lb_command_serve, lb_command_send, lb_command_resolve, lb_command_ledger;
extern const struct lb_command lb_command_pipe, lb_command_lab, lb_command_help;

/* All of them, in the order of the overview; NULL is last. */
extern const struct lb_command *const lb_commands[];

/* The one with this name, or NULL, after saying so on standard error. */
const struct lb_command *lb_command_find(const char *name);

/* What `lastbyte help NAME` prints, and the overview, to `fd`. */
void lb_help_command(int fd, const struct lb_command *command);
void lb_help_overview(int fd);

/* The table of exit codes of a delivery. */
void lb_help_exits(int fd);

#endif
