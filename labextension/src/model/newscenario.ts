/** What a new scenario file holds: the smallest whole test, ready to be run. */

export function scenarioTemplate(): string {
  return `[meta]
name = "first"
version = "1.0.0"
description = "What this test proves, in one sentence"

[vars]
greeting = "hello"

[[scenario]]
name = "says-hello"

[[scenario.steps]]
name = "greet"
command = "echo {{ greeting }}"
expected_output_contains = "{{ greeting }}"
`;
}
