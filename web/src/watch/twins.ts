/** Cues of captions that are there twice. */

/** Behind a cut hls.js reckons times from another beginning, and what is shown across it comes once more, some microseconds off. */
const SAME_WITHIN_S = 0.05

/** Those that say at the same time what one before them says. */
export function twins<Cue extends { startTime: number; text?: string }>(cues: Cue[]): Cue[] {
  const same = (one: Cue, other: Cue) => one.text === other.text && Math.abs(one.startTime - other.startTime) < SAME_WITHIN_S
  return cues.filter((cue, index) => cues.slice(0, index).some((before) => same(before, cue)))
}
