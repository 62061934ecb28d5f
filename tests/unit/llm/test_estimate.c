/* How many tokens a request is expected to take. */
#include "unit.h"

#include <string.h>

#include "base/random.h"
#include "llm/estimate.h"

static struct estimates estimates;

static int setup(void **state) {
    (void)state;
    memset(&estimates, 0, sizeof estimates);
    return 0;
}

static struct token_estimate chat(uint32_t model, uint64_t bytes, uint64_t max_tokens) {
    return estimate_tokens(&estimates, model, OPERATION_CHAT, bytes, max_tokens, 1);
}

static void learn(uint32_t model, uint64_t bytes, uint32_t input, uint32_t output) {
    estimate_learn(&estimates, model, bytes,
                   &(struct usage){.input = input, .output = output, .input_known = true, .output_known = true});
}

static void without_experience_it_is_three_and_a_half_bytes_a_token(void **state) {
    (void)state;
    assert_int_equal(chat(7, 3500, 0).input, 1000);
    assert_int_equal(chat(7, 1, 0).input, 1);
    assert_int_equal(chat(7, 0, 0).input, 0);
    assert_int_equal(chat(7, 100, 0).output, ESTIMATE_OUTPUT_MIN);
    assert_true(chat(7, 100, 0).output_guessed);
}

static void a_maximum_that_is_given_is_taken_for_each_choice(void **state) {
    (void)state;
    assert_int_equal(chat(7, 100, 8).output, 8);
    assert_false(chat(7, 100, 8).output_guessed);
    assert_int_equal(estimate_tokens(&estimates, 7, OPERATION_MESSAGES, 100, 8, 5).output, 40);
    assert_int_equal(estimate_tokens(&estimates, 7, OPERATION_CHAT, 100, 0, 3).output, 3 * ESTIMATE_OUTPUT_MIN);
    assert_true(estimate_tokens(&estimates, 7, OPERATION_CHAT, UINT64_MAX, UINT32_MAX, UINT32_MAX).output >=
                UINT32_MAX);
}

static void what_generates_nothing_has_no_output_and_what_is_not_counted_nothing(void **state) {
    (void)state;
    struct token_estimate t = estimate_tokens(&estimates, 7, OPERATION_EMBEDDINGS, 350, 900, 1);
    assert_int_equal(t.input, 100);
    assert_int_equal(t.output, 0);
    assert_false(t.output_guessed);
    t = estimate_tokens(&estimates, 7, OPERATION_PASSTHROUGH, 350, 900, 1);
    assert_int_equal(t.input + t.output, 0);
    t = estimate_tokens(&estimates, 7, OPERATION_COUNT_TOKENS, 350, 900, 1);
    assert_int_equal(t.input + t.output, 0);
}

static void it_comes_near_what_a_model_takes_and_leaves_others_alone(void **state) {
    (void)state;
    for (int i = 0; i < 200; i++) learn(7, 2000, 1000, 100);
    uint64_t input = chat(7, 2000, 0).input;
    assert_true(input >= 980 && input <= 1001);
    assert_int_equal(chat(8, 3500, 0).input, 1000);
    for (int i = 0; i < 200; i++) learn(7, 8000, 1000, 100);
    input = chat(7, 8000, 0).input;
    assert_true(input >= 1000 && input <= 1020);
}

static void nine_of_ten_answers_are_not_longer_than_the_guess(void **state) {
    (void)state;
    for (uint32_t i = 1; i <= 1000; i++) learn(7, 100, 10, i * 10);
    uint64_t output = chat(7, 100, 0).output;
    assert_true(output >= 9000 && output < 9000 * 5 / 4);
    for (int i = 0; i < 5000; i++) learn(7, 100, 10, 300); /* the old ones are forgotten */
    output = chat(7, 100, 0).output;
    assert_true(output >= 300 && output < 400);
    for (int i = 0; i < 5000; i++) learn(7, 100, 10, 3);
    assert_int_equal(chat(7, 100, 0).output, ESTIMATE_OUTPUT_MIN);
}

static void whatever_is_learnt_estimates_stay_in_reason(void **state) {
    (void)state;
    learn(7, UINT64_MAX, 1, UINT32_MAX);
    learn(7, 0, UINT32_MAX, UINT32_MAX);
    for (int i = 0; i < 100000; i++)
        learn((uint32_t)(random_u64() % 2000), random_u64() >> (random_u64() % 64), (uint32_t)random_u64(),
              (uint32_t)random_u64());
    for (uint32_t model = 0; model < 2000; model++) {
        struct token_estimate t = chat(model, 64000, 0);
        assert_true(t.input >= 64000 / 64 && t.input <= 64000 * 4 + 1);
        assert_true(t.output >= ESTIMATE_OUTPUT_MIN && t.output <= UINT32_MAX);
    }
}

static void what_the_provider_did_not_say_teaches_nothing(void **state) {
    (void)state;
    estimate_learn(&estimates, 7, 9000, &(struct usage){.input = 1, .output = 100000, .estimated = true});
    assert_int_equal(chat(7, 3500, 0).input, 1000);
    assert_int_equal(chat(7, 3500, 0).output, ESTIMATE_OUTPUT_MIN);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(without_experience_it_is_three_and_a_half_bytes_a_token, setup),
        cmocka_unit_test_setup(a_maximum_that_is_given_is_taken_for_each_choice, setup),
        cmocka_unit_test_setup(what_generates_nothing_has_no_output_and_what_is_not_counted_nothing, setup),
        cmocka_unit_test_setup(it_comes_near_what_a_model_takes_and_leaves_others_alone, setup),
        cmocka_unit_test_setup(nine_of_ten_answers_are_not_longer_than_the_guess, setup),
        cmocka_unit_test_setup(whatever_is_learnt_estimates_stay_in_reason, setup),
        cmocka_unit_test_setup(what_the_provider_did_not_say_teaches_nothing, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
