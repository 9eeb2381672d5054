/** What schemas of settings and of requests are made of. The words are those of errors: what was expected. */
import { z } from "zod";

export const whole = (min: number, max: number, expected = `a whole number from ${min} to ${max}`) => {
  return z.int(expected).min(min, expected).max(max, expected);
};

/** What a rule may name: a kind of rooms, or `*` for all. */
export const KIND_NAME = /^(\*|[A-Za-z0-9_.@/-]{1,128})$/;

/** A string that `parse` takes; what it throws says what was expected. `expected`: what a value is told that is no string. */
export const parsedBy = (parse: (text: string) => unknown, expected = "a string") =>
  z.string(expected).superRefine((given, context) => {
    try {
      parse(given);
    } catch (error) {
      const message = error instanceof Error ? error.message.replace(/^expected /, "") : "something else";
      context.addIssue({ code: "custom", message });
    }
  });
