// Waiting for things to become true, with a deadline. Tests ask again and again; they never sleep and assert.

/** Waits this many milliseconds: only between two questions, never in place of one. */
export const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/**
 * Asks `question` until it answers with something true, and gives that answer back. An exception counts as "not yet".
 * @template T
 * @param {string} what  a sentence that becomes true: the message if it does not
 * @param {() => Promise<T> | T} question
 * @param {{within?: number, every?: number, seen?: (answer: any) => any}} [options]  times in ms; `seen` says
 *        what of an untrue answer the message shows
 * @returns {Promise<T>}
 */
export async function eventually(what, question, { within = 20_000, every = 200, seen = (answer) => answer } = {}) {
  const deadline = Date.now() + within;
  let last;
  for (;;) {
    try {
      const answer = await question();
      if (answer) return answer;
      last = JSON.stringify(seen(answer));
    } catch (error) {
      last = String(error?.message ?? error).split('\n')[0];
    }
    if (Date.now() > deadline) throw new Error(`not within ${within / 1000} s: ${what} (last: ${last})`);
    await pause(every);
  }
}

/** Asks until `expected(value)` holds for what `read` gives; the message shows the last value. */
export async function becomes(what, read, expected, options = {}) {
  let last;
  try {
    return await eventually(what, async () => expected((last = await read())) && { value: last }, options);
  } catch (error) {
    throw new Error(`${error.message}; last value: ${JSON.stringify(last)}`);
  }
}

/** `promise`, or an error that names `what` when it has not settled within `ms`. */
export function within(ms, what, promise) {
  let timer;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error(`not within ${ms / 1000} s: ${what}`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
