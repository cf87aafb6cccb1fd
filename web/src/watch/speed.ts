/** How fast a recording plays. */

export const SPEEDS = [0.5, 0.75, 1, 1.25, 1.5, 1.75, 2]

/** The next one of them in that direction; the same at the end. */
export function nextSpeed(speed: number, towards: 'slower' | 'faster'): number {
  const next = towards === 'faster' ? SPEEDS.find((other) => other > speed) : SPEEDS.findLast((other) => other < speed)
  return next ?? speed
}

/** `1.25×`. */
export function speedInWords(speed: number): string {
  return `${speed}×`
}
