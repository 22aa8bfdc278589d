/* SPDX-License-Identifier: MIT */
/* What the lab has to play: policies and scenarios, and which of them belong together. */
#include "lib/cmocka.h"
#include "lab/scenarios.h"
#include <string.h>

static void ways_and_requests_belong_together_and_all_else_with_all(void **state)
{
	(void)state;
	for (const struct lab_scenario *scenario = lab_scenarios; scenario->name != NULL; scenario++) {
		int cells_of_it = 0, policies = 0, ways = 0;

		for (const struct lab_policy *policy = lab_policies; policy->name != NULL; policy++) {
			cells_of_it += lab_scenario_applies(scenario, policy);
			policies += policy->kind != LAB_WAY;
			ways += policy->kind == LAB_WAY;
		}
		if (strcmp(scenario->name, "request") == 0)
			assert_int_equal(cells_of_it, ways);
		else if (strcmp(scenario->name, "listener") == 0)
			assert_int_equal(cells_of_it, 1);
		else
			assert_int_equal(cells_of_it, policies);
	}
}

static void every_policy_of_lb_close_is_there_by_its_name(void **state)
{
	unsigned found = 0, policies = 0
#define LB_POLICY(name, word, text) +1
#include <lastbyte/outcomes.def>
		;

	(void)state;
	for (const struct lab_policy *policy = lab_policies; policy->name != NULL; policy++)
		if (policy->kind == LAB_CLOSE) {
			assert_string_equal(policy->name, lb_policy_word(policy->policy));
			found++;
		}
	assert_int_equal(found, policies);
}

static void no_name_is_there_twice(void **state)
{
	(void)state;
	for (const struct lab_policy *policy = lab_policies; policy->name != NULL; policy++)
		for (const struct lab_policy *other = policy + 1; other->name != NULL; other++)
			assert_string_not_equal(policy->name, other->name);
	for (const struct lab_scenario *scenario = lab_scenarios; scenario->name != NULL; scenario++)
		for (const struct lab_scenario *other = scenario + 1; other->name != NULL; other++)
			assert_string_not_equal(scenario->name, other->name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ways_and_requests_belong_together_and_all_else_with_all),
		cmocka_unit_test(every_policy_of_lb_close_is_there_by_its_name),
		cmocka_unit_test(no_name_is_there_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
